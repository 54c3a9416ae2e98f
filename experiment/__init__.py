"""What surrounds a graph: data, the Session, results and what they are compared with."""
