"""The study of many time boxes (docs/many-boxes.md): its plan, its runs, its summary."""
