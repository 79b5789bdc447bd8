"""Report, page, metrics and pictures of a run."""
