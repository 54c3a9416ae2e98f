"""What a run shows: log, recorded runs, metrics, statistics, claims, files, pictures."""
