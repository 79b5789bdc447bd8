"""Draw the pictures of a run again, or a recording as the network sees it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli import Parser, run_main
from utils.report.plots.clip import clip_figure, read_clip
from utils.report.plots.run import draw_run
from utils.report.plots.style import save

EXAMPLES = """\
examples:
  python -m utils.report.plots --run result/DEMO_1.5s_all_mfcc_…_1a2b3c4d
  python -m utils.report.plots --clip recording.wav
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m utils.report.plots", description=__doc__, epilog=EXAMPLES
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        help="draw every picture of a run, in its folder",
    )
    what.add_argument(
        "--clip",
        type=Path,
        metavar="FILE",
        help="draw waveform, spectrogram, mel spectrogram and MFCC of a recording",
    )
    group = parser.add_argument_group("with --clip")
    group.add_argument(
        "-id",
        "--input_durations",
        type=float,
        metavar="S",
        help="segment length in seconds; default: the whole recording",
    )
    group.add_argument("--output_dir", type=Path, default=Path("result/plots"))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what the command line names, and print the paths of the files.

    Raises:
        InputError: The folder is no run, or the recording cannot be read.
        OSError: A file cannot be written.
    """
    options = parse_args(argv)
    if options.run:
        written = draw_run(options.run)
    else:
        segment, front_end = read_clip(options.clip, options.input_durations)
        figure = clip_figure(segment, front_end, options.clip.name)
        written = save(figure, options.output_dir / f"{options.clip.stem}_inputs")
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
