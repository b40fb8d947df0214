"""neurode against its peers: `make bench`."""
