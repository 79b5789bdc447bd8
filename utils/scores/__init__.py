"""Scores of runs and models: confusion counts, intervals, comparisons, seeds."""
