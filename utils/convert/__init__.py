"""Converters: folder trees of recordings or videos to 16 kHz mono WAV."""
