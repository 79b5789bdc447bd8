"""Train, validate and report Light-SERNet: one run folder from one command."""

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from dataio import Dataset, load_dataset
from hyperparameters import InputError, Settings
from utils import options, report, run_folder
from utils.audit import audit
from utils.cli import EXIT_USER_ERROR, Parser, run_main, true_or_false
from utils.files import PROJECT
from utils.fold_job import FoldOptions, FoldTask
from utils.folds import Fold, make_folds
from utils.progress import RunProgress
from utils.workers import run_tasks

EXAMPLES = """examples:
  python train.py                                      the embedded corpus, DEMO
  python train.py -dn EMO-DB --data_dir data --jobs 2  as published
  python train.py -dn EMO-DB --protocol speaker --select last --folds 0-3
  python train.py -dn EMO-DB --seed 42,43,44           three seeds and their spread
The same command goes on where it was stopped. Corpora: """


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Options in the groups data, model, training, protocol, run."""
    parser = Parser(
        prog="train.py",
        description=__doc__,
        epilog=EXAMPLES + options.corpora_line() + ".",
    )
    options.add_settings(parser, argv)
    options.add_places(parser)
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
        default=1,
        metavar="N",
        help="threads a fold; another number rounds differently",
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
    return parser.parse_args(argv)


def fold_numbers(text: str) -> list[int]:
    """`3`, `0,1` or `0-3` as a list of fold numbers."""
    numbers: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    except ValueError:
        numbers = set()
    if not numbers:
        raise argparse.ArgumentTypeError(f"must be 3 or 0,1 or 0-3, got {text!r}")
    return sorted(numbers)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number ≥ 1, got {text!r}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Args:
        argv: Without the program's name; the process's own where None.

    Returns:
        Exit status: 0, or 2 where a fold could not be finished.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parse_args(arguments)
    command = shlex.join(["python", "train.py", *arguments])
    status = 0
    for settings in options.settings_from(args):
        status = max(status, train_run(settings, args, command))
    return status


def train_run(settings: Settings, args: argparse.Namespace, command: str) -> int:
    """Train one run (one seed) and render its report.

    Raises:
        InputError: Bad input, found before anything is trained.
    """
    places = options.places_from(args)
    dataset = load_dataset(settings, places, progress=tqdm)
    folds = make_folds(dataset.manifest.utterances, settings)
    folder = open_run_folder(dataset, folds, args.output_dir, command)
    numbers = chosen_folds(args.folds, len(folds))
    tasks = [
        FoldTask(
            settings=settings,
            places=places,
            number=number,
            num_folds=len(folds),
            folder=folder,
            run_hash=run_folder.run_hash(settings, dataset.manifest),
            options=FoldOptions(
                command=command,
                verbose=args.verbose,
                record_test_curve=args.record_test_curve,
                tensorboard=args.tensorboard,
                fused=args.merge_tflite,
            ),
            threads=args.threads,
        )
        for number in numbers
    ]
    failures = run_all(tasks, args, command)
    if len(failures) < len(tasks):
        rendered = report.render(folder)
        print(f"{rendered.headline}\n{rendered.report}")
    for number, error in sorted(failures.items()):
        print(f"train.py: error: fold {number}: {error}", file=sys.stderr)
    if failures:
        print(f"the same command goes on from here: {command}", file=sys.stderr)
    return EXIT_USER_ERROR if failures else 0


def open_run_folder(
    dataset: Dataset, folds: Sequence[Fold], output_dir: Path, command: str
) -> Path:
    """Make the run folder with its configuration, or find it; print the audit.

    Returns:
        The folder.
    """
    manifest, settings = dataset.manifest, dataset.settings
    folder = output_dir / run_folder.run_name(settings, manifest)
    hashes = dataset.segments.content_hashes
    findings = audit(manifest, folds, settings, hashes)
    if not (folder / "config.json").exists():
        config = run_folder.make_config(settings, manifest, len(folds), command)
        run_folder.write_config(folder, {**config, "audit": findings})
    lines = [*manifest.warnings, *duration_warning(dataset), *findings["lines"]]
    note = [f"Note: {manifest.note}"] if manifest.note else []
    print("\n".join([*lines, *note, f"Run folder: {folder}"]), file=sys.stderr)
    return folder


def duration_warning(dataset: Dataset) -> list[str]:
    """A line where every utterance is shorter than the segment."""
    longest_s = dataset.segments.longest_s
    duration_s = dataset.settings.front_end.duration_s
    if longest_s >= duration_s:
        return []
    return [
        f"warning: segments of {duration_s:g} s are longer than every file (the "
        f"longest has {longest_s:.2f} s): all are padded with silence"
    ]


def chosen_folds(wanted: list[int] | None, num_folds: int) -> list[int]:
    """The folds to run.

    Raises:
        InputError: A number that is no fold.
    """
    numbers = list(range(num_folds)) if wanted is None else wanted
    if beyond := [number for number in numbers if number >= num_folds]:
        raise InputError(
            f"--folds: there are folds 0 to {num_folds - 1}, got {beyond[0]}"
        )
    return numbers


def default_jobs(args: argparse.Namespace) -> int:
    """As many folds at once as there are cores; one with Keras's bars or a GPU."""
    if args.jobs:
        return int(args.jobs)
    has_gpu = Path("/dev/nvidia0").exists()
    return 1 if args.verbose or has_gpu else run_folder.usable_cores()


def run_all(
    tasks: Sequence[FoldTask], args: argparse.Namespace, command: str
) -> dict[int, str]:
    """Run the folds that have no record yet, with their bars.

    Returns:
        One line for each fold that failed.

    Raises:
        SystemExit: Stopped by Ctrl-C or SIGTERM; the command that resumes is shown.
    """
    remaining = [
        task
        for task in tasks
        if run_folder.read_record(task.folder, task.number, task.run_hash) is None
    ]
    if not remaining:
        return {}
    progress = RunProgress(
        [task.number for task in remaining],
        remaining[0].settings.training.epochs,
        quiet=bool(args.verbose),
    )
    jobs = default_jobs(args)
    try:
        with terminating_as_interrupt():
            return run_tasks(remaining, progress, jobs=jobs, scheduler=args.scheduler)
    except KeyboardInterrupt as stop:
        progress.close()
        print(f"stopped; this goes on where it stopped: {command}", file=sys.stderr)
        raise SystemExit(stop.args[0] if stop.args else 130) from None
    finally:
        progress.close()


@contextlib.contextmanager
def terminating_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, with its own exit status."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; a notebook's cell may run elsewhere
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(run_main(main))
