"""Nothing is lost: the folder of a run, checkpoints, signals."""
