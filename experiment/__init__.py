"""Everything around the graph: data, Session, results, comparisons, studies, reports."""
