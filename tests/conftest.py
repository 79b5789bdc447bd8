"""Shared fixtures: the real EMO-DB where it is there, and synthetic recordings."""

import os

# Before anything imports Matplotlib or TensorFlow.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import fcntl
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from training_runs import fold_worker, trained_demo  # noqa: F401

from utils.files import PROJECT

RATE_HZ = 16_000
SET_INTERFACE_FLAGS = 0x8914  # SIOCSIFFLAGS of Linux
UP_AND_RUNNING = 0x1 | 0x40


def pytest_configure() -> None:
    """Raise the loopback if it is down, as in `unshare -rn`: tests serve on it."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=1).close()
        return
    request = struct.pack("16sh14x", b"lo", UP_AND_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_INTERFACE_FLAGS, request)


@pytest.fixture(autouse=True)
def named_by_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs tested in this process bear the name in `sys.argv`, also under
    `python -m pytest`, whose own module would name them.
    """
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


@pytest.fixture(scope="session")
def emo_db_dir() -> Path:
    """The folder that holds the real `EMO-DB/`, as `--data_dir` takes it."""
    folder = Path(os.environ.get("SER_CORPORA", PROJECT / "data")).resolve()
    if not (folder / "EMO-DB").is_dir():
        pytest.skip(
            f"the real EMO-DB is not in {folder}; set SER_CORPORA to the folder that "
            "holds EMO-DB/ to run this test"
        )
    return folder


@pytest.fixture(scope="session")
def nobody() -> int:
    """A user whom file modes stop, for root to become; root reads and writes all."""
    user, users = 65534, Path("/proc/self/uid_map")
    if os.geteuid() == 0 and users.exists():
        rows = [map(int, line.split()) for line in users.read_text().splitlines()]
        if not any(first <= user < first + count for first, _, count in rows):
            pytest.skip("root is the only user here, as in `unshare -r`")
    return user


WriteAudio = Callable[[str, npt.NDArray[np.float64], int], Path]


@pytest.fixture
def write_audio(tmp_path: Path) -> WriteAudio:
    """A function (name, samples, rate_hz) that writes an audio file and names it.

    Samples are (samples,) or (samples, channels), within ±1.
    """

    def write(name: str, samples: npt.NDArray[np.float64], rate_hz: int) -> Path:
        path = tmp_path / name
        soundfile.write(path, samples, rate_hz)
        return path

    return write


def tone(duration_s: float, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float64]:
    """Half-scale 440 Hz sine: (samples,)."""
    time_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    return 0.5 * np.sin(2 * np.pi * 440.0 * time_s)


@pytest.fixture
def tone_wav(write_audio: WriteAudio) -> Path:
    """2 s of a 440 Hz tone, 16 kHz mono."""
    return write_audio("tone.wav", tone(2.0), RATE_HZ)


@pytest.fixture
def noise_wav(write_audio: WriteAudio) -> Path:
    """2 s of white noise, 16 kHz mono."""
    samples = np.random.RandomState(0).uniform(-0.5, 0.5, 2 * RATE_HZ)
    return write_audio("noise.wav", samples, RATE_HZ)


@pytest.fixture
def silence_wav(write_audio: WriteAudio) -> Path:
    """1 s of zeros, 16 kHz mono."""
    return write_audio("silence.wav", np.zeros(RATE_HZ), RATE_HZ)


@pytest.fixture
def short_wav(write_audio: WriteAudio) -> Path:
    """A tone shorter than one 64 ms frame, 16 kHz mono."""
    return write_audio("short.wav", tone(0.05), RATE_HZ)


@pytest.fixture
def long_wav(write_audio: WriteAudio) -> Path:
    """9 s of a tone, longer than any segment, 16 kHz mono."""
    return write_audio("long.wav", tone(9.0), RATE_HZ)


@pytest.fixture
def stereo_wav(write_audio: WriteAudio) -> Path:
    """2 s, tone on the left, noise on the right, 16 kHz."""
    noise = np.random.RandomState(1).uniform(-0.5, 0.5, 2 * RATE_HZ)
    return write_audio("stereo.wav", np.stack([tone(2.0), noise], axis=1), RATE_HZ)


@pytest.fixture
def wav_8khz(write_audio: WriteAudio) -> Path:
    """2 s of a tone, 8 kHz mono."""
    return write_audio("8khz.wav", tone(2.0, 8_000), 8_000)


@pytest.fixture
def wav_44khz(write_audio: WriteAudio) -> Path:
    """2 s of a tone, 44.1 kHz mono."""
    return write_audio("44khz.wav", tone(2.0, 44_100), 44_100)
