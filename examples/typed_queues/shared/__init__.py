"""What the API and the workers share. It starts nothing, and needs nothing of a worker's."""
