"""The benchmark, `make bench`."""
