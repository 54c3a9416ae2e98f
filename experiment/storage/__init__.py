"""The folder of a run, its checkpoints, and signals: an interrupted run goes on."""
