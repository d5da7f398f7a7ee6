"""HTTP requests to the outside: with limits of time and size, and never into the own network."""
