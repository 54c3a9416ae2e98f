"""A run evaluated: log, recorded runs, metrics, statistics, claims, files, pictures."""
