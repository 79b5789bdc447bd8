"""Shared fixtures: the real EMO-DB, if present, and synthetic recordings."""

import os

# Before anything imports Matplotlib, NumPy or TensorFlow
os.environ.setdefault("MPLBACKEND", "Agg")
# Tests occupy every core: threads of small matrix products would wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import fcntl
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from project_copy import project  # noqa: F401
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
    """Programs take their name from `sys.argv`, also under `python -m pytest`."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


@pytest.fixture
def make_deep() -> Iterator[Callable[..., Path]]:
    """Makes folders in each other, more than a path can name, and clears them away."""
    home, made = Path.cwd(), list[Path]()

    def make(folder: Path, levels: int, name: str = "a") -> Path:
        """A sound in the deepest folder; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        made.append(folder / name)
        for _ in range(levels):
            os.mkdir(name)
            os.chdir(name)
        soundfile.write("1.wav", 0.1 * np.sin(np.arange(RATE_HZ)), RATE_HZ)
        os.chdir(home)
        return folder.joinpath(*[name] * levels, "1.wav")

    yield make
    os.chdir(home)
    subprocess.run(["rm", "-rf", *made], check=True)


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
    """The number of a user that file modes stop; root ignores them."""
    user, users = 65534, Path("/proc/self/uid_map")
    if os.geteuid() == 0 and users.exists():
        rows = [map(int, line.split()) for line in users.read_text().splitlines()]
        if not any(first <= user < first + count for first, _, count in rows):
            pytest.skip("root is the only user here, as in `unshare -r`")
    return user


def tone(duration_s: float, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float64]:
    """Half-scale 440 Hz sine: (samples,)."""
    time_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    return 0.5 * np.sin(2 * np.pi * 440.0 * time_s)


def _fixture(name: str, samples: npt.NDArray[np.float64], rate_hz: int) -> Any:
    """A fixture that writes a mono recording and returns its path."""

    @pytest.fixture
    def path_of_recording(tmp_path: Path) -> Path:
        soundfile.write(tmp_path / name, samples, rate_hz)
        return tmp_path / name

    return path_of_recording


tone_wav = _fixture("tone.wav", tone(2.0), RATE_HZ)
silence_wav = _fixture("silence.wav", np.zeros(RATE_HZ), RATE_HZ)
short_wav = _fixture("short.wav", tone(0.05), RATE_HZ)  # shorter than a frame
long_wav = _fixture("long.wav", tone(9.0), RATE_HZ)  # longer than any segment
wav_44khz = _fixture("44khz.wav", tone(2.0, 44_100), 44_100)
