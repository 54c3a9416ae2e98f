"""One run: data, graph, Session, start-up."""
