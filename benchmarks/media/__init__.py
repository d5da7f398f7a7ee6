"""What media work takes beside programs that do the same by hand: `make bench-media`."""
