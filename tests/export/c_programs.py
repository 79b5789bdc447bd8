"""Compile and run the C code in tests."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.scale import Scale
from utils.audio.wav import PCM16_SCALE
from utils.export.c_front_end import write_front_end
from utils.export.firmware import CORTEX_M4F
from utils.model_files.interpreter import quantise

C_SOURCES = Path(__file__).parent / "c"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
# of the shipped int8 model
QUANTISATION = (0.0784313753247261, -1)
BOARD = C_SOURCES / "mps2_an386"  # a Cortex-M4 with FPU
PACKAGES = {"arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi"}
Samples = npt.NDArray[np.int16]
Rows = npt.NDArray[np.int8]


class Results(NamedTuple):
    """For every segment or window: a flag, (n,), and rows, (n, frames, features)."""

    flags: npt.NDArray[np.bool_]
    rows: Rows


def tool(name: str) -> str:
    """The path of an optional program; skips the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {PACKAGES.get(name, name)}")
    return found


def arm_compiler() -> list[str]:
    """The command that compiles for the emulated board, with its files."""
    board = ["--specs=rdimon.specs", "-T", BOARD / "memory.ld", BOARD / "startup.c"]
    return [tool("arm-none-eabi-gcc"), "-O2", *CORTEX_M4F, *map(str, board)]


def emulator(*options: str) -> list[str]:
    """The command that runs a program, named after it, on the emulated board."""
    silent = ["-display", "none", "-monitor", "none", "-serial", "none"]
    files = ["-semihosting-config", "enable=on,target=native"]
    qemu = tool("qemu-system-arm")
    return [qemu, "-M", "mps2-an386", *silent, *files, *options, "-kernel"]


def build(
    folder: Path,
    front_end: FrontEnd,
    command: Sequence[str],
    main: str = "driver.c",
    scale: Scale | None = None,
) -> Path:
    """Write the front-end and compile it with a program, warnings being errors."""
    written = write_front_end(front_end, QUANTISATION, folder, scale)
    sources = [C_SOURCES / main, *(path for path in written if path.suffix == ".c")]
    program = folder / "program"
    flags = ["-std=c99", *WARNINGS, f"-I{folder}", "-o", program]
    subprocess.run([*command, *flags, *sources, "-lm"], check=True)
    return program


def run_on(
    command: Sequence[str | Path],
    folder: Path,
    recordings: Sequence[Samples],
    hop: int = 0,
) -> str:
    """Run a program that reads `input.bin`; return what it prints.

    Args:
        command: The program, with an emulator before it if needed.
        folder: Receives `input.bin`.
        recordings: Segments, or consecutive blocks of a stream.
        hop: Samples from one window to the next; 0 for segments.
    """
    parts = [struct.pack("<i", hop)]
    for samples in recordings:
        parts += [struct.pack("<i", len(samples)), samples.astype("<i2").tobytes()]
    (folder / "input.bin").write_bytes(b"".join(parts))
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def run_driver(
    command: Sequence[str | Path],
    folder: Path,
    front_end: FrontEnd,
    recordings: Sequence[Samples],
    hop: int = 0,
) -> Results:
    """Run `driver.c`; arguments as in `run_on`, the settings give the rows' shape."""
    run_on(command, folder, recordings, hop)
    shape = front_end.input_shape[:2]
    output = np.fromfile(folder / "output.bin", np.int8)
    records = output.reshape(-1, 1 + shape[0] * shape[1])
    return Results(records[:, 0] != 0, records[:, 1:].reshape(-1, *shape))


def read_recordings(paths: Sequence[Path]) -> list[Samples]:
    """16-bit samples of WAV files."""
    return [soundfile.read(path, dtype="int16")[0] for path in paths]


def speech_like(num_samples: int, seed: int = 0) -> Samples:
    """Noise under a slow envelope, (num_samples,), int16."""
    generator = np.random.default_rng(seed)
    envelope = np.abs(np.sin(np.arange(num_samples) / 2000.0)) ** 3
    noise = 6000.0 * generator.standard_normal(num_samples) * envelope
    return noise.clip(-32768, 32767).astype(np.int16)


def expected_rows(
    front_end: FrontEnd, recordings: Sequence[Samples], scale: Scale | None = None
) -> Rows:
    """The rows of `utils.audio`, (n, frames, features)."""
    segments = [prepare(samples / PCM16_SCALE, front_end) for samples in recordings]
    samples = from_pcm16(np.concatenate(segments))
    features = compute_features(samples, front_end, clipped=scale is None)
    if scale is not None:
        features = scale.apply(features, front_end)
    details = {"dtype": np.int8, "quantization": QUANTISATION}
    return quantise(features, details)[..., 0]


def assert_near(got: Rows, expected: Rows, equal_share: float = 0.999) -> None:
    """At most one int8 step apart, and equal in this share of the values."""
    steps = np.abs(got.astype(int) - expected.astype(int))
    assert steps.max(initial=0) <= 1
    assert np.mean(steps == 0) >= equal_share, f"{np.mean(steps == 0):.5%} equal"
