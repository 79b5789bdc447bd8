"""What becomes of truncated, damaged and joined files, by format.

    python -m benchmarks.damaged_files

Writes 1.5 s of sound in every format, damages the file and reads it. Prints a Markdown
table: `decoded` means that all of the sound came back, `refused` that a line names the
file and the reason.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from hyperparameters import InputError
from utils.audio.ffmpeg import ffmpeg_program
from utils.audio.wav import read_any
from utils.cli import Parser, run_main
from utils.tables import markdown_table

RATE_HZ = 16_000
FORMS: dict[str, tuple[object, ...]] = {  # file name to words for ffmpeg
    "a.wav": (),
    "rf64.wav": ("-rf64", "always"),
    "mp3.wav": ("-c:a", "libmp3lame"),
    "adpcm.wav": ("-c:a", "adpcm_ms"),
    **dict.fromkeys(("a.aiff", "a.w64", "a.au", "a.caf", "a.flac"), ()),
    "a.aifc": ("-c:a", "pcm_alaw"),
    **dict.fromkeys(("a.ogg", "a.opus", "a.mp3", "a.mp2", "a.mpg"), ()),
    "flac.oga": ("-c:a", "flac"),
    "no index.mp3": ("-write_xing", 0, "-id3v2_version", 0),
    **dict.fromkeys(("a.m4a", "a.mka", "a.wma", "a.aac", "a.ac3", "a.wv", "a.tta"), ()),
    "start.m4a": ("-movflags", "faststart"),
    "a.webm": ("-c:a", "libopus"),
    "a.avi": (),
    "a.flv": ("-ar", 22050),
    "a.ts": ("-c:a", "mp2"),
    "a.amr": ("-ar", 8000, "-b:a", "12.2k"),
}
TOLERANCE_S = 0.05  # two packets of the slowest codec, where files are joined


def write_form(path: Path) -> bytes:
    """Write a swelling tone with some noise in one of the forms.

    Args:
        path: Its name is in `FORMS`.

    Returns:
        The content of the file.
    """
    source = path.parent / "source.wav"
    time_s = np.arange(int(1.5 * RATE_HZ)) / RATE_HZ
    noise = 0.02 * np.sin(np.arange(len(time_s)) ** 2)
    soundfile.write(source, 0.3 * time_s * np.sin(2765.0 * time_s) + noise, RATE_HZ)
    words = ["-v", "error", "-y", "-i", source, *FORMS[path.name], path]
    subprocess.run([ffmpeg_program(str(path)), *map(str, words)], check=True)
    return path.read_bytes()


def damaged(content: bytes) -> dict[str, bytes]:
    """The content of a file after each kind of damage."""
    middle = len(content) // 2
    first, second = content[:middle], content[middle:]
    return {
        "cut in the middle": first + second[:7],
        "cut near the end": content[: len(content) * 97 // 100],
        "4 bytes removed": first + second[4:],
        "40 bytes overwritten": first + b"\xff" * 40 + second[40:],
        "200 bytes zeroed": first + bytes(200) + second[200:],
        "joined to itself": content + content,
    }


def outcomes(path: Path) -> dict[str, str]:
    """What becomes of a file after each kind of damage.

    Args:
        path: Its name is in `FORMS`; written.

    Returns:
        By kind of damage: `refused`, `decoded`, or how much of the sound came back.
    """
    content = write_form(path)
    whole_s = len(read_any(path, RATE_HZ)) / RATE_HZ
    found = {}
    for kind, changed in damaged(content).items():
        path.write_bytes(changed)
        expected_s = 2 * whole_s if kind.startswith("joined") else whole_s
        try:
            found_s = len(read_any(path, RATE_HZ)) / RATE_HZ
        except InputError:
            found[kind] = "refused"
            continue
        is_whole = abs(found_s - expected_s) < TOLERANCE_S
        found[kind] = "decoded" if is_whole else f"{found_s:.2f} of {expected_s:.2f} s"
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; formats with the same outcomes share a row."""
    Parser(prog="python -m benchmarks.damaged_files", description=__doc__).parse_args(
        argv
    )
    rows: dict[tuple[str, ...], list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMS:
            found = outcomes(Path(folder, name))
            shown = name.removeprefix("a.")
            rows.setdefault(tuple(found.values()), []).append(shown)
    table = [(", ".join(names), *cells) for cells, names in rows.items()]
    print("\n".join(markdown_table(["files", *damaged(b"")], table)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
