"""A tone, and files of it in many formats."""

import subprocess
from pathlib import Path

import numpy as np

from benchmarks.encode import encode
from utils.audio.ffmpeg import ffmpeg_program

RATE_HZ = 16_000


def tone(rate_hz: int = RATE_HZ, duration_s: float = 1.5) -> np.ndarray:
    """A swelling 440 Hz tone, (samples,), on the 16-bit grid."""
    time_s = np.arange(int(rate_hz * duration_s)) / rate_hz
    samples = 0.5 * np.sin(2 * np.pi * 440.0 * time_s) * time_s / duration_s
    return np.rint(samples * 32768) / 32768


def encoded(path: Path) -> Path:
    """The tone in the format of the suffix."""
    return encode(path, (32768 * tone()).astype(np.int16), RATE_HZ)


def ffmpeg(*words: object) -> None:
    """Run ffmpeg with these words; the last one is the file to write."""
    program = ffmpeg_program("test")
    subprocess.run([program, "-v", "error", "-y", *map(str, words)], check=True)
