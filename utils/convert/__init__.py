"""Converters that write derived audio files."""
