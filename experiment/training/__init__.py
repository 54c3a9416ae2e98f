"""One run: data, graph, Session, what TensorBoard sees of it, start-up."""
