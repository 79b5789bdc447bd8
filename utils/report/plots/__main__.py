"""Draw a run's figures again, a clip as the network sees it, or the network."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from hyperparameters import INPUT_TYPES, FrontEnd, Settings
from utils.cli import Parser, run_main
from utils.report.plots.clip import clip_figure, read_clip
from utils.report.plots.network import network_figure, stages_of
from utils.report.plots.run import draw_run
from utils.report.plots.style import save

EXAMPLES = """\
examples:
  python -m utils.report.plots --run result/DEMO_1.5s_all_mfcc_…_1a2b3c4d
  python -m utils.report.plots --clip recording.wav
  python -m utils.report.plots --network --output_dir images
"""
NUM_CLASSES = 7  # EMO-DB's


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options of this command."""
    parser = Parser(
        prog="python -m utils.report.plots", description=__doc__, epilog=EXAMPLES
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        help="every figure of a run, in its folder",
    )
    what.add_argument(
        "--clip", type=Path, metavar="FILE", help="a recording's inputs, PDF and PNG"
    )
    what.add_argument(
        "--network", action="store_true", help="the architecture, SVG and PNG"
    )
    parser.add_argument(
        "-id",
        "--input_durations",
        type=float,
        metavar="S",
        help="segment, s; default: the whole clip, and 3 s for the network",
    )
    parser.add_argument(
        "-it", "--input_type", default="mfcc", choices=INPUT_TYPES, help="network input"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("result/plots"),
        help="for clip, network",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what was asked for, and name the files.

    Raises:
        InputError: No run folder, or a clip that cannot be read.
        OSError: A file cannot be written.
    """
    options = parse_args(argv)
    front_end = FrontEnd(input_type=options.input_type)
    if options.input_durations is not None:
        front_end = dataclasses.replace(front_end, duration_s=options.input_durations)
    if options.run:
        written = draw_run(options.run)
    elif options.clip:
        is_whole = options.input_durations is None
        segment, front_end = read_clip(options.clip, front_end, is_whole)
        figure = clip_figure(segment, front_end, options.clip.name)
        written = save(figure, options.output_dir / f"{options.clip.stem}_inputs")
    else:
        written = draw_network(front_end, options.output_dir)
    print(*written, sep="\n")
    return 0


def draw_network(front_end: FrontEnd, folder: Path) -> list[Path]:
    """Draw the network that `models` builds, as SVG and PNG.

    Args:
        front_end: Its input shape counts.
        folder: For `light_sernet.svg` and `.png`.
    """
    import models  # Keras takes seconds to import, and only this picture needs it

    settings = Settings(front_end=front_end)
    model = models.build_light_sernet(settings, NUM_CLASSES)
    title = f"Light-SERNet, {model.count_params():,} parameters"
    figure = network_figure(stages_of(model), title)
    return save(figure, folder / "light_sernet", ("svg", "png"))


if __name__ == "__main__":
    sys.exit(run_main(main))
