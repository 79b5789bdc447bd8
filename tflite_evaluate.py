"""Score TFLite models as they will be used: every precision, on unseen utterances.

With --run, the model files of every fold classify the test utterances of that fold; the
table goes to the screen and, with JSON and a page for browsers, into the run folder.
With --model, one file is scored on a whole corpus. TensorFlow is not needed.
"""

if __name__ == "__main__":  # Ctrl-C and missing packages end without a traceback
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from utils.cli import name_missing_packages

    name_missing_packages()

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from hyperparameters import AUDIO_TYPES, InputError
from utils import options
from utils.cli import Parser, printable, run_main, terminal_bar
from utils.corpora.load import read_corpus, reader_of, select_part
from utils.files import write_atomic, write_json
from utils.report.model_pages import evaluation_page, model_page
from utils.report.recordings import recordings_of
from utils.runs.checks import check_corpus
from utils.runs.records import Run, load_run
from utils.scores.evaluation import Folds, evaluate, has_files, rescore
from utils.scores.evaluation_text import LEGEND, markdown, screen_table
from utils.scores.model_score import score_model, score_text

EXIT_GATE_MISSED = 1
GATE_POINTS = 1.0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line: a run, or a model and a corpus."""
    parser = Parser(
        prog="tflite_evaluate.py",
        description=__doc__,
        usage="%(prog)s (--run FOLDER | --model FILE -dn NAME) [options]",
    )
    what = parser.add_mutually_exclusive_group(required=True).add_argument
    what("--run", type=Path, metavar="FOLDER", help="a run folder")
    what("--model", type=Path, metavar="FILE", help=".tflite or .keras file")
    add = parser.add_argument_group("with --run").add_argument
    add(
        "--gate",
        type=points,
        metavar="POINTS",
        help="exit 1 if a complete run's UA falls further below Keras float32 "
        f"[{GATE_POINTS:g}]",
    )
    add = parser.add_argument_group("with --model").add_argument
    add("-dn", "--dataset_name", metavar="NAME", help="corpus")
    parts = f"part of the corpus: {', '.join(AUDIO_TYPES)} [all]"
    add("-at", "--audio_type", choices=AUDIO_TYPES, metavar="PART", help=parts)
    names = "its classes: a file with one per line, or names separated by commas"
    add("--labels", metavar="NAMES", help=names)
    add("--page", type=Path, metavar="FILE", help="write a page for browsers: .html")
    group = parser.add_argument_group("data")
    options.add_data_paths(group, derived="as in train.py; nothing is written to it")
    args = parser.parse_args(argv)
    if args.model and not args.dataset_name:
        raise InputError("--model needs a corpus: add -dn NAME")
    if args.run and (args.dataset_name or args.audio_type or args.labels):
        raise InputError(
            "--run knows its corpus and classes: leave out -dn, -at, --labels"
        )
    if args.page and (args.run or args.page.suffix.lower() != ".html"):
        raise InputError(
            "--page names the page of --model, and ends in .html; --run writes its own"
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


def evaluate_run(args: argparse.Namespace) -> int:
    """Score the model files of a run and write the results into its folder.

    Returns:
        Exit status: 1 if the gate is missed.

    Raises:
        InputError: No run folder, or its corpus is not found or another one.
    """
    run, folds = load_run(args.run), Folds()
    if has_files(run):
        read = run_reader(run, args)
        run, folds = rescore(run, read, lambda items: terminal_bar(items, unit="fold"))
    gate_points = GATE_POINTS if args.gate is None else args.gate
    content = evaluate(run, folds, gate_points)
    path = run.folder / f"{run.file_stem}_TFLite"
    write_json(path.with_name(f"{path.name}.json"), content)
    write_atomic(path.with_name(f"{path.name}.md"), markdown(content))
    write_atomic(path.with_name(f"{path.name}.html"), evaluation_page(run, content))
    print(f"{screen_table(content)}\n{LEGEND}\n{path}.md\n{path}.html")
    return EXIT_GATE_MISSED if content["passes"] is False else 0


def run_reader(
    run: Run, args: argparse.Namespace
) -> Callable[[str], npt.NDArray[np.float64]]:
    """A function that reads an utterance of a run's corpus by its id.

    Raises:
        InputError: The corpus is not found, or not the one the run was made with.
    """
    settings, data_paths = run.settings, options.data_paths_from(args)
    recorded = recorded_paths(run)
    try:
        corpus, whole = read_corpus(settings["dataset_name"], data_paths)
    except InputError as error:
        hint = f"; this run was trained with {recorded}" if recorded else ""
        raise InputError(f"{error}{hint}") from error
    manifest, read = select_part(whole, settings["audio_type"]), reader_of(corpus)
    if manifest.digest != run.corpus_digest:
        raise InputError(
            f"{args.run}: {manifest.corpus} has changed since this run was trained; "
            f"give the same files with {recorded or '--data_dir'}"
        )
    check_corpus(run.folder, run.records, manifest)
    paths = {utterance.id: utterance.path for utterance in manifest.utterances}
    return lambda utterance_id: read(paths[utterance_id], settings["sample_rate_hz"])


def recorded_paths(run: Run) -> str:
    """The options that say where the corpus was during training; empty if unknown.

    They are only shown: a run folder from elsewhere must not choose what is read.
    """
    paths = run.config.get("paths", {})
    names = [name for name in ("data_dir", "manifest") if paths.get(name)]
    return " ".join(f"--{name} {printable(paths[name])}" for name in names)


def evaluate_model(args: argparse.Namespace) -> int:
    """Score one model file on a corpus."""
    corpus, whole = read_corpus(args.dataset_name, options.data_paths_from(args))
    manifest = select_part(whole, args.audio_type or AUDIO_TYPES[0])
    content, rows = score_model(
        args.model,
        manifest,
        reader_of(corpus),
        labels=args.labels,
        progress=lambda items: terminal_bar(items, unit="utterance"),
    )
    print(score_text(content))
    if args.page:
        recordings = recordings_of(manifest)
        page = model_page(content, rows, args.page.parent, recordings)
        write_atomic(args.page, page)
        print(printable(args.page))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Score the run or the model of the command line."""
    args = parse_args(argv)
    # threads of the matrix library would wait for each other on busy cores
    with threadpool_limits(1):
        return evaluate_run(args) if args.run else evaluate_model(args)


if __name__ == "__main__":
    sys.exit(run_main(main))
