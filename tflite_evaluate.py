"""Score TFLite models as they will be used: every precision, out of fold.

With `--run` every fold's own test utterances are asked of the fold's own files; the
table goes to the screen, and with JSON and a plot into the run folder. With `--model`
one file is scored on a whole corpus. TensorFlow is not needed.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import AUDIO_TYPES, InputError
from utils import options
from utils.cli import Parser, run_main
from utils.corpora.load import DataPaths, read_corpus, reader_of, select_part
from utils.files import PROJECT, write_atomic, write_json
from utils.report.plots.precisions import size_figure
from utils.report.plots.style import save
from utils.runs.records import Run, load_run
from utils.scores.evaluation import NAMES, Rescored, evaluate, has_files, rescore
from utils.scores.evaluation_text import LEGEND, markdown, screen_table
from utils.scores.model_score import score_model, score_text
from utils.training.progress import terminal_bar

EXIT_GATE_MISSED = 1
GATE_POINTS = 1.0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Options: a run, or a model and a corpus."""
    parser = Parser(
        prog="tflite_evaluate.py",
        description=__doc__,
        usage="%(prog)s (--run FOLDER | --model FILE -dn NAME) [options]",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, metavar="FOLDER", help="a run folder")
    what.add_argument(
        "--model", type=Path, metavar="FILE", help=".tflite or .keras file"
    )
    group = parser.add_argument_group("with --run")
    group.add_argument(
        "--gate",
        type=points,
        metavar="POINTS",
        help="exit 1 if a complete run's UA falls further below Keras float32 "
        f"[{GATE_POINTS:g}]",
    )
    group = parser.add_argument_group("with --model")
    group.add_argument("-dn", "--dataset_name", metavar="NAME", help="corpus")
    group.add_argument(
        "-at",
        "--audio_type",
        choices=AUDIO_TYPES,
        metavar="PART",
        help=f"part of the corpus: {', '.join(AUDIO_TYPES)} [all]",
    )
    group.add_argument(
        "--labels",
        metavar="NAMES",
        help="its classes: a file with one a line, or names with commas between",
    )
    group = parser.add_argument_group(
        "data", "with --run, what is only read is where it was when the run was trained"
    )
    options.add_data_paths(group, derived="synthesised corpora are kept here")
    parser.set_defaults(data_dir=None, derived_dir=None)
    args = parser.parse_args(argv)
    if args.model and not args.dataset_name:
        raise InputError("--model needs a corpus to be scored on: add -dn NAME")
    if args.run and (args.dataset_name or args.audio_type or args.labels):
        raise InputError(
            "--run knows its corpus and classes: leave out -dn, -at, --labels"
        )
    if args.model and args.gate is not None:
        raise InputError("--gate compares with Keras: it needs --run, not --model")
    return args


def points(text: str) -> float:
    """Percentage points: 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise argparse.ArgumentTypeError(f"must be between 0 and 100, got {text!r}")
    return value


def data_paths_of(args: argparse.Namespace, command: str = "") -> DataPaths:
    """Where a corpus is read: as given, else as a command had it, else in `data/`.

    Args:
        args: The command line.
        command: What trained the run.
    """
    parser = Parser(add_help=False, exit_on_error=False)
    options.add_data_paths(parser.add_argument_group("data"))
    try:
        known, _ = parser.parse_known_args(shlex.split(command))
    except (ValueError, argparse.ArgumentError):  # not a command of ours
        known = parser.parse_args([])
    known.derived_dir = PROJECT / "data"  # written to: no run folder may say where
    given = {name: value for name, value in vars(args).items() if value}
    return options.data_paths_from(argparse.Namespace(**{**vars(known), **given}))


def evaluate_run(args: argparse.Namespace) -> int:
    """Score a run's files, write what was found beside them.

    Returns:
        Exit status: 1 where the gate is missed.

    Raises:
        InputError: No run folder, or its corpus is not there or another.
    """
    run = load_run(args.run)
    rescored = Rescored(run=run, folds={name: [] for name in NAMES})
    if has_files(run):
        rescored = rescore(
            run, run_reader(run, args), lambda folds: terminal_bar(folds, unit="fold")
        )
    content = evaluate(rescored, GATE_POINTS if args.gate is None else args.gate)
    path = run.folder / f"{run.file_stem}_TFLite"
    write_json(path.with_name(f"{path.name}.json"), content)
    write_atomic(path.with_name(f"{path.name}.md"), markdown(content))
    if figure := size_figure(content):
        save(figure, path)
    print(f"{screen_table(content)}\n{LEGEND}\n{path}.md")
    return EXIT_GATE_MISSED if content["passes"] is False else 0


def run_reader(
    run: Run, args: argparse.Namespace
) -> Callable[[str], npt.NDArray[np.float64]]:
    """What reads an utterance of a run's corpus by its id.

    Raises:
        InputError: The corpus is not there, or not the one the run was made with.
    """
    settings: dict[str, Any] = run.settings
    data_paths = data_paths_of(args, run.config.get("command", ""))
    corpus, whole = read_corpus(settings["dataset_name"], data_paths)
    manifest, read = select_part(whole, settings["audio_type"]), reader_of(corpus)
    if manifest.digest != run.corpus_digest:
        raise InputError(
            f"{args.run}: {manifest.corpus} has changed since this run was trained; "
            "give the folder of the same files with --data_dir"
        )
    paths = {utterance.id: utterance.path for utterance in manifest.utterances}
    return lambda utterance_id: read(paths[utterance_id], settings["sample_rate_hz"])


def evaluate_model(args: argparse.Namespace) -> int:
    """Score one model file on a corpus."""
    corpus, whole = read_corpus(args.dataset_name, data_paths_of(args))
    content = score_model(
        args.model,
        select_part(whole, args.audio_type or AUDIO_TYPES[0]),
        reader_of(corpus),
        labels=args.labels,
        progress=lambda items: terminal_bar(items, unit="utterance"),
    )
    print(score_text(content))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Score what the command line names; see the module."""
    args = parse_args(argv)
    return evaluate_run(args) if args.run else evaluate_model(args)


if __name__ == "__main__":
    sys.exit(run_main(main))
