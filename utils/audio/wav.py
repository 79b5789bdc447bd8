"""Read whole audio files into samples, and write 16-bit WAV."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from hyperparameters import InputError
from utils.audio.containers import TRUNCATED
from utils.audio.decode import blocks, check_file
from utils.audio.native import open_native, refuse_fault
from utils.cli import printable

PCM16_SCALE = 32768.0  # soundfile and tf.audio.decode_wav divide 16-bit samples by it
Read = Callable[[Path, int], npt.NDArray[np.float64]]  # path, rate in Hz -> (samples,)


def read_wav(path: Path, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Read a mono file at the expected rate; refuse any other.

    Args:
        path: Audio file.
        sample_rate_hz: The rate that it must have.

    Returns:
        (samples,), float64, within ±1.

    Raises:
        InputError: The file is unreadable, truncated, not mono, at another rate or
            silent, or holds NaN; one line that names it.
    """
    name = printable(path)
    check_file(path)
    refuse_fault(path)
    file = open_native(path)
    if file is None:
        raise InputError(f"{name}: cannot be read as audio; must be a mono WAV file")
    with file:
        rate_hz, channels, promised = file.samplerate, file.channels, file.frames
        try:
            samples = file.read(dtype="float64", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise InputError(f"{name}: is damaged ({error})") from error
    if rate_hz != sample_rate_hz or channels != 1:
        raise InputError(
            f"{name}: must be mono at {sample_rate_hz} Hz, got {channels} "
            f"channel(s) at {rate_hz} Hz; convert with "
            "`python -m utils.convert.recordings`"
        )
    if len(samples) < promised:
        raise InputError(f"{name}: {TRUNCATED}")
    return check_samples(samples[:, 0], name)


def read_any(path: Path, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Read any audio or video file as mono at one rate.

    Args:
        path: A file that libsndfile or ffmpeg can decode.
        sample_rate_hz: Rate of the samples returned.

    Returns:
        (samples,), float64: the mean over channels, resampled if needed.

    Raises:
        InputError: As `utils.audio.decode.blocks`, or the file is silent.
    """
    parts = list(blocks(path, sample_rate_hz))
    return check_samples(np.concatenate([*parts, np.empty(0)]), printable(path))


def check_samples(
    samples: npt.NDArray[np.float64], name: str
) -> npt.NDArray[np.float64]:
    """Return the samples of a recording that can be classified.

    Raises:
        InputError: No samples, NaN or infinite samples, or only one value.
    """
    if samples.size == 0:
        raise InputError(f"{name}: holds no samples")
    with np.errstate(over="ignore"):
        is_sound = np.isfinite(samples.astype(np.float32)).all()
    if not is_sound:
        raise InputError(f"{name}: holds NaN or infinite samples")
    if (samples == samples[0]).all():  # zeros, or an offset without sound
        raise InputError(f"{name}: is silent throughout")
    return samples


def to_pcm16(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    """Round samples within ±1 to 16 bits: full scale is ±32767."""
    return np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)


def write_wav(path: Path, samples: npt.NDArray[np.int16], sample_rate_hz: int) -> None:
    """Write mono 16-bit PCM WAV.

    Args:
        path: Target.
        samples: (samples,), int16.
        sample_rate_hz: Sample rate.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate_hz)
        writer.writeframes(samples.astype("<i2").tobytes())
