"""The command line of `train.py`."""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from hyperparameters import InputError
from utils import options
from utils.cli import Parser, true_or_false
from utils.files import PROJECT

MOST_FOLDS = 1000
DESCRIPTION = (
    "Train, validate and report Light-SERNet: one run folder from one command."
)
EXAMPLES = """examples:
  python train.py                                      the embedded corpus, DEMO
  python train.py -dn EMO-DB --data_dir data --jobs 2  as published
  python train.py -dn EMO-DB --protocol speaker --select last --folds 0-3
  python train.py -dn EMO-DB --seed 42,43,44           three seeds and their spread
The same command goes on where it was stopped.
"""


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Options in the groups data, model, training, protocol, run."""
    parser = Parser(
        prog="train.py",
        description=DESCRIPTION,
        epilog=EXAMPLES + options.corpora_lines(),
    )
    groups = options.add_settings(parser, argv)
    options.add_data_paths(groups["data"])
    options.add_cache(groups["data"])
    run = parser.add_argument_group("run")
    run.add_argument(
        "--folds",
        type=fold_numbers,
        metavar="LIST",
        help="which folds to run: 3 or 0,1 or 0-3; default all",
    )
    run.add_argument(
        "-v",
        "--verbose",
        type=int,
        choices=(0, 1),
        default=0,
        metavar="0|1",
        help="1: Keras's bars, one fold at a time",
    )
    run.add_argument(
        "-m",
        "--merge_tflite",
        type=true_or_false,
        default=False,
        metavar="true|false",
        help="also export raw-audio models",
    )
    run.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="folds at once; default: cores (1 with -v 1 or a GPU)",
    )
    run.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads a fold; default 1, with a GPU all; another number rounds "
        "differently",
    )
    run.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler")
    run.add_argument(
        "--output_dir",
        type=Path,
        default=PROJECT / "result",
        metavar="DIR",
        help="run folders are made in it",
    )
    run.add_argument(
        "--record_test_curve",
        action="store_true",
        help="test accuracy by epoch, for plots only",
    )
    run.add_argument("--tensorboard", action="store_true", help="write its logs")
    run.add_argument(
        "--export_only",
        type=Path,
        metavar="RUN",
        help="export a run folder's folds again, train nothing",
    )
    args = parser.parse_args(argv)
    _check_together(args)
    return args


def _check_together(args: argparse.Namespace) -> None:
    """Refuse options that have no meaning together.

    Raises:
        InputError: Which, and what to do.
    """
    if args.verbose and (args.scheduler or (args.jobs or 1) > 1):
        raise InputError(
            "-v 1 shows one fold at a time; leave out --jobs and --scheduler, or give "
            "-v 0"
        )
    if args.jobs and args.scheduler:
        raise InputError(
            "--jobs counts processes of this machine, --scheduler leaves that to its "
            "cluster: give one of the two"
        )
    if os.name == "nt":
        raise InputError(
            "training needs Linux or macOS: workers get their pipes by number; on "
            "Windows use WSL"
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if args.merge_tflite and backend != "tensorflow":
        raise InputError(
            f"-m true exports, and only TensorFlow does: with KERAS_BACKEND={backend} "
            "train without it, then give --export_only RUN -m true where TensorFlow is"
        )
    if args.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard needs a package: pip install tensorboard")


def fold_numbers(text: str) -> list[int]:
    """`3`, `0,1` or `0-3` as a list of fold numbers."""
    numbers: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            if not 0 <= int(first) <= int(last or first) < MOST_FOLDS:
                raise ValueError
            numbers.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be 3 or 0,1 or 0-3, all below {MOST_FOLDS}, got {text!r}"
        ) from None
    return sorted(numbers)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number ≥ 1, got {text!r}")
    return int(text)
