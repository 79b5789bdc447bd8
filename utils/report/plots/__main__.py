"""Draw a recording as the network gets it: waveform, spectrograms and MFCC.

    python -m utils.report.plots --clip recording.wav

`python -m utils.report RUN` draws the pictures of a run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import Parser, run_main
from utils.pictures import save
from utils.report.plots.clip import clip_figure, read_clip


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m utils.report.plots", description=__doc__)
    parser.add_argument(
        "--clip", type=Path, required=True, metavar="FILE", help="audio or video file"
    )
    parser.add_argument(
        "-id",
        "--input_durations",
        type=float,
        metavar="S",
        help="segment length in seconds; default: the whole recording",
    )
    parser.add_argument("--output_dir", type=Path, default=Path("result/plots"))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the recording of the command line, and print the paths of the files.

    Raises:
        InputError: The recording cannot be read.
        OSError: A file cannot be written.
    """
    options = parse_args(argv)
    segment, front_end = read_clip(options.clip, options.input_durations)
    figure = clip_figure(segment, front_end, options.clip.name)
    path = options.output_dir / f"{options.clip.stem}_inputs"
    print(*save(figure, path), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
