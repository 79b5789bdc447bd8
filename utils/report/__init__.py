"""Report, metrics, tables and pictures of a run."""
