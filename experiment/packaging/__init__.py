"""The notebook as one file."""
