"""The training of folds: processes, checkpoints, records."""
