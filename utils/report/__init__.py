"""Report, metrics and pictures of a run."""
