"""The static graph: it builds operations, and opens no Session, reads no file and no flag."""
