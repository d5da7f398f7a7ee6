"""What the REST interface takes over a large store: `make bench-web`."""
