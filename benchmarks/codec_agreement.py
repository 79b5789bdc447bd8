"""How often a recoded recording keeps its class, by codec and rate.

    python -m benchmarks.codec_agreement --folder data/EMO-DB/wav [--model FILE]

Every copy is encoded from the same 16-bit recordings, classified by the code of the
inference command and compared with the prediction for the original. Prints a Markdown
table: share of equal classes, largest and mean change of a probability, and share of
copies with a note on missing bandwidth.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from benchmarks.encode import encode
from inference_single_file import linear_path, model_loader, model_path
from inference_single_file import parse_args as parse_command
from utils.cli import Parser, run_main
from utils.files import PROJECT
from utils.inference.classify import (
    Answer,
    ModelPerThread,
    classify_centre,
    ordered_map,
)
from utils.inference.sources import Source, open_sources
from utils.tables import markdown_row, markdown_table

HEADS = ("stored as", "same class", "largest change", "mean change", "noted")


class Copy(NamedTuple):
    """A way to store a recording: name, suffix, and options of ffmpeg."""

    name: str
    suffix: str
    options: str = ""


COPIES = (
    Copy("untouched", ".wav"),
    Copy("WAV, 24-bit", ".wav", "-c:a pcm_s24le"),
    Copy("WAV, 32-bit", ".wav", "-c:a pcm_s32le"),
    Copy("WAV, float", ".wav", "-c:a pcm_f32le"),
    Copy("WAV, 16-bit stereo", ".wav", "-af pan=stereo|c0=c0|c1=c0"),
    Copy("FLAC", ".flac"),
    Copy("WAV, 22.05 kHz", ".wav", "-ar 22050"),
    Copy("WAV, 44.1 kHz", ".wav", "-ar 44100"),
    Copy("WAV, 48 kHz", ".wav", "-ar 48000"),
    Copy("OGG Vorbis, quality 3", ".ogg", "-c:a libvorbis -q:a 3"),
    Copy("OGG Vorbis, quality 5", ".ogg", "-c:a libvorbis -q:a 5"),
    Copy("OGG Vorbis, quality 8", ".ogg", "-c:a libvorbis -q:a 8"),
    Copy("OGG Vorbis, 44.1 kHz, quality 5", ".ogg", "-c:a libvorbis -ar 44100 -q:a 5"),
    Copy("Opus, 32 kbit/s", ".opus", "-c:a libopus -b:a 32k"),
    Copy("Opus, 16 kbit/s", ".opus", "-c:a libopus -b:a 16k"),
    Copy("Opus, 6 kbit/s", ".opus", "-c:a libopus -b:a 6k"),
    Copy("AAC, 64 kbit/s", ".m4a", "-c:a aac -b:a 64k"),
    Copy("AAC, 32 kbit/s", ".m4a", "-c:a aac -b:a 32k"),
    Copy("AAC, 44.1 kHz, 128 kbit/s", ".m4a", "-c:a aac -ar 44100 -b:a 128k"),
    Copy("MP3, 44.1 kHz, 128 kbit/s", ".mp3", "-ar 44100 -b:a 128k"),
    Copy("MP3, 44.1 kHz, 64 kbit/s", ".mp3", "-ar 44100 -b:a 64k"),
    Copy("MP3, 160 kbit/s", ".mp3", "-b:a 160k"),
    Copy("MP3, 64 kbit/s", ".mp3", "-b:a 64k"),
    Copy("MP3, 32 kbit/s", ".mp3", "-b:a 32k"),
    Copy("MP3, 16 kbit/s", ".mp3", "-b:a 16k"),
    Copy("WAV, 8-bit", ".wav", "-c:a pcm_u8"),
    Copy("WAV, 12 kHz", ".wav", "-ar 12000"),
    Copy("WAV, 8 kHz", ".wav", "-ar 8000"),
    Copy("WAV, 8 kHz μ-law", ".wav", "-ar 8000 -c:a pcm_mulaw"),
)


def answer_copies(
    sources: Sequence[Source], copy: Copy, models: ModelPerThread, folder: Path
) -> list[Answer]:
    """Classify a copy of each recording.

    Raises:
        CouldntEncodeError: ffmpeg cannot make the copy.
        InputError: The copy cannot be read.
    """

    def answer(numbered: tuple[int, Source]) -> Answer:
        number, source = numbered
        path = folder / f"{number}{copy.suffix}"
        samples, rate_hz = soundfile.read(source.path, dtype="int16")
        encode(path, samples, rate_hz, *copy.options.split())
        try:
            return classify_centre(path, source.name, models)
        finally:
            path.unlink()

    return list(ordered_map(answer, enumerate(sources), os.cpu_count() or 1))


def row(copy: Copy, originals: Sequence[Answer], copies: Sequence[Answer]) -> list[str]:
    """One row of the table, under `HEADS`."""
    before = np.array([answer.probabilities for answer in originals])
    after = np.array([answer.probabilities for answer in copies])
    same = np.mean(before.argmax(axis=1) == after.argmax(axis=1))
    change = np.abs(after - before)
    noted = np.mean([any("kHz" in note for note in a.notes) for a in copies])
    changes = (f"{change.max():.1e}", f"{change.mean():.1e}")
    return [copy.name, f"{same:.1%}", *changes, f"{noted:.0%}"]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = Parser(prog="python -m benchmarks.codec_agreement", description=__doc__)
    parser.add_argument("--folder", default="data/EMO-DB/wav", help="16 kHz recordings")
    parser.add_argument("--model", help="model file; default: the catalog's")
    parser.add_argument(
        "--files", type=int, default=100, help="number of recordings, evenly spaced"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = parse_args(argv)
    words = ["--model", arguments.model] if arguments.model else []
    command = parse_command(["-fn", "-", *words])
    path = model_path(command)
    models = ModelPerThread(model_loader(path, None, linear_path(command, path)))
    with (
        open_sources([arguments.folder], PROJECT) as found,
        tempfile.TemporaryDirectory() as folder,
        threadpool_limits(1),
    ):
        taken = np.linspace(0, len(found) - 1, min(arguments.files, len(found)))
        sources = [found[int(number)] for number in taken]
        originals = [classify_centre(s.path, s.name, models) for s in sources]
        print(f"{len(sources)} recordings of {arguments.folder}, model {path.name}\n")
        print(*markdown_table(HEADS), sep="\n")
        for copy in COPIES:
            copies = answer_copies(sources, copy, models, Path(folder))
            print(markdown_row(row(copy, originals, copies)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
