"""Compile and run the C front-end in tests."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from hyperparameters import FrontEnd
from utils.audio.features import compute_features
from utils.audio.prepare import from_pcm16, prepare
from utils.audio.wav import PCM16_SCALE
from utils.export.c_front_end import write_front_end
from utils.model_files.interpreter import quantise

C_SOURCES = Path(__file__).parent / "c"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
# of the published int8 models; the tests need no model
QUANTISATION = (0.0784313753247261, -1)
BOARD = C_SOURCES / "mps2_an386"  # a Cortex-M4 with FPU
CORTEX_M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
Samples = npt.NDArray[np.int16]
Rows = npt.NDArray[np.int8]


class Results(NamedTuple):
    """For every segment or window: a flag, (n,), and rows, (n, frames, features)."""

    flags: npt.NDArray[np.bool_]
    rows: Rows


def tool(name: str, package: str) -> str:
    """The path of an optional program; skips the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return found


def compiler(name: str) -> str:
    """The path of a C compiler."""
    packages = {"arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi"}
    return tool(name, packages.get(name, name))


def arm_compiler() -> list[str]:
    """The command that compiles for the emulated board, with its files."""
    gcc = compiler("arm-none-eabi-gcc")
    board = ["--specs=rdimon.specs", "-T", BOARD / "memory.ld", BOARD / "startup.c"]
    return [gcc, "-O2", *CORTEX_M4F, *map(str, board)]


def emulator(*options: str) -> list[str]:
    """The command that runs a program, named after it, on the emulated board."""
    qemu = tool("qemu-system-arm", "qemu-system-arm")
    silent = ["-display", "none", "-monitor", "none", "-serial", "none"]
    files = ["-semihosting-config", "enable=on,target=native"]
    return [qemu, "-M", "mps2-an386", *silent, *files, *options, "-kernel"]


def object_sizes(folder: Path, source: str) -> tuple[int, int]:
    """Bytes of flash and of static RAM of a C file at -O2 on a Cortex-M4F."""
    target = folder / "object.o"
    flags = ["-O2", *CORTEX_M4F, *WARNINGS, f"-I{folder}", "-c", "-o", target]
    gcc = compiler("arm-none-eabi-gcc")
    subprocess.run([gcc, *flags, folder / source], check=True)
    size = tool("arm-none-eabi-size", "binutils-arm-none-eabi")
    shown = subprocess.run([size, target], capture_output=True, text=True, check=True)
    text, data, bss = map(int, shown.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


def build(
    folder: Path, front_end: FrontEnd, command: Sequence[str], main: str = "driver.c"
) -> Path:
    """Write the front-end and compile it with a program, warnings being errors."""
    written = write_front_end(front_end, QUANTISATION, folder)
    sources = [C_SOURCES / main, *(path for path in written if path.suffix == ".c")]
    program = folder / "program"
    flags = [*WARNINGS, f"-I{folder}", "-o", program]
    subprocess.run([*command, *flags, *sources, "-lm"], check=True)
    return program


def run_driver(
    command: Sequence[str | Path],
    folder: Path,
    front_end: FrontEnd,
    recordings: Sequence[Samples],
    hop: int = 0,
) -> Results:
    """Run `driver.c` on recordings.

    Args:
        command: The program, with an emulator before it if needed.
        folder: Receives `input.bin` and `output.bin`.
        front_end: Gives the shape of the rows.
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
    output = np.fromfile(folder / "output.bin", np.int8)
    shape = front_end.input_shape[:2]
    records = output.reshape(-1, 1 + shape[0] * shape[1])
    return Results(records[:, 0] != 0, records[:, 1:].reshape(-1, *shape))


def expected_rows(front_end: FrontEnd, samples: Samples) -> Rows:
    """The rows of `utils`, (frames, features), for 16-bit samples."""
    segments = prepare(samples / PCM16_SCALE, front_end)
    features = compute_features(from_pcm16(segments), front_end)
    details = {"dtype": np.int8, "quantization": QUANTISATION}
    return quantise(features, details)[0, :, :, 0]


def assert_near(got: Rows, expected: Rows, equal_share: float = 0.999) -> None:
    """At most one int8 step apart, and equal in this share of the values."""
    steps = np.abs(got.astype(int) - expected.astype(int))
    assert steps.max(initial=0) <= 1
    assert np.mean(steps == 0) >= equal_share, f"{np.mean(steps == 0):.5%} equal"
