"""Model files: their content, metadata, catalog and size."""
