"""Train, validate and report Light-SERNet: one run folder from one command."""

if __name__ == "__main__":  # Ctrl-C and missing packages end without a traceback
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from utils.cli import name_missing_packages

    name_missing_packages()

import argparse
import importlib.util
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dataio import Dataset, load_dataset
from hyperparameters import RECIPES, InputError, Settings
from utils import options
from utils.cli import (
    EXIT_USER_ERROR,
    Parser,
    one_line,
    run_main,
    terminal_bar,
    true_or_false,
)
from utils.corpora.manifest import Manifest
from utils.files import PROJECT, write_json
from utils.model_files.starting import StartingModel
from utils.processes import sigterm_as_interrupt
from utils.protocols.audit import audit
from utils.protocols.command import settings_and_start
from utils.protocols.folds import Fold, make_folds
from utils.report import render as report
from utils.runs import folder as run_folder
from utils.runs.links import refuse_links
from utils.scores.seeds import write_spread
from utils.training.job import FoldOptions
from utils.training.progress import RunProgress
from utils.training.run import (
    commit_warning,
    default_jobs,
    has_work,
    make_jobs,
    run_folds,
)

MOST_FOLDS = 1000
DASK = "pip install -r requirements-cluster.txt"
EXAMPLES = """examples:
  python train.py                                      the default corpus, DEMO
  python train.py -dn EMO-DB --data_dir data --jobs 2  as published
  python train.py -dn EMO-DB --protocol speaker --select last --folds 0-3
  python train.py -dn EMO-DB --seed 42,43,44           three seeds and their spread
The same command continues a run that was stopped.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train one run per seed, or export a run again.

    Args:
        argv: Without the program's name; None means the process's own.

    Returns:
        Exit status: 0; 2 if a fold could not be finished; 130 or 143 if Ctrl-C or
        SIGTERM stopped it.
    """
    args = parse_args(sys.argv[1:] if argv is None else argv)
    try:
        with sigterm_as_interrupt():
            several, start = settings_of_runs(args)
            runs = [train_run(settings, args, start) for settings in several]
    except KeyboardInterrupt as stop:
        print(f"stopped; this continues it: {args.command}", file=sys.stderr)
        return int(stop.args[0])
    if len(runs) > 1:
        show_spread([folder for folder, _ in runs], args.output_dir)
    return max(status for _, status in runs)


def settings_of_runs(
    args: argparse.Namespace,
) -> tuple[list[Settings], StartingModel | None]:
    """The settings of each run, one per seed, and the model that they start from.

    A run to export has its own settings and needs no starting model.

    Raises:
        InputError: A bad setting, or one that contradicts the run to export.
    """
    if args.export_only is None:
        return settings_and_start(args)
    settings = run_folder.settings_of(run_folder.read_config(args.export_only))
    options.refuse_other_settings(args, settings)
    return [settings], None


def train_run(
    settings: Settings, args: argparse.Namespace, start: StartingModel | None
) -> tuple[Path, int]:
    """Train what is left of one run, or export it again, and render its report.

    Returns:
        The run's folder and the exit status.

    Raises:
        InputError: Bad input, found before anything is trained.
    """
    check_settings(settings, args)
    data_paths = options.data_paths_from(args)
    dataset = load_dataset(settings, data_paths, progress=terminal_bar)
    folds = make_folds(dataset.manifest.utterances, settings)
    chosen = chosen_folds(args.folds, len(folds))
    folder = open_run_folder(dataset, folds, args, start)
    fold_options = FoldOptions(
        command=args.command,
        verbose=args.verbose,
        record_test_curve=args.record_test_curve,
        tensorboard=args.tensorboard,
        fused=args.merge_tflite,
        export_again=args.export_only is not None,
    )
    every = make_jobs(
        dataset,
        folds,
        folder,
        options=fold_options,
        threads=args.threads,
        start=start,
    )
    jobs = [job for job in every if job.fold.number in chosen and has_work(job)]
    if not jobs:
        print("nothing left to do in these folds", file=sys.stderr)
        return folder, finish(folder, {}, args.command, dataset.manifest)
    if args.export_only is None:
        waiting = {job.fold.number for job in jobs}
        for line in commit_warning([j for j in every if j.fold.number not in waiting]):
            print(line, file=sys.stderr)
    epochs = settings.training.epochs
    with RunProgress(len(jobs), epochs, quiet=bool(args.verbose)) as progress:
        failures = run_folds(
            jobs, progress, at_once=args.jobs, scheduler=args.scheduler
        )
    return folder, finish(folder, failures, args.command, dataset.manifest)


def check_settings(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what is impossible here, and exports that no runtime could run.

    Raises:
        InputError: Which option asks for it.
    """
    if settings.training.weight_average and settings.data.select == "best":
        raise InputError(
            "--weight_average needs --select last: the weights that are averaged are "
            "not those that the accuracy of an epoch is of"
        )
    is_ignored = settings.training.optimizer != "adamw"
    if settings.training.weight_decay and is_ignored and not args.export_only:
        raise InputError(
            "--weight_decay needs --optimizer adamw; otherwise give --weight_decay 0"
        )
    if settings.inputs.masks and settings.inputs.feature_scaling == "none":
        raise InputError(
            "--masks needs --feature_scaling corpus or voice: what is hidden is set to "
            "the mean, which is 0 only then"
        )
    fft_size = settings.front_end.fft_size
    if args.merge_tflite and fft_size & (fft_size - 1):
        raise InputError(
            f"-m true needs an --fft_size that is a power of two, got {fft_size}: "
            "TensorFlow Lite transforms no other"
        )
    if args.export_only and importlib.util.find_spec("tensorflow") is None:
        raise InputError("--export_only needs TensorFlow, which is not installed here")


def open_run_folder(
    dataset: Dataset,
    folds: Sequence[Fold],
    args: argparse.Namespace,
    start: StartingModel | None = None,
) -> Path:
    """The run's folder, absolute: made with its configuration, or found.

    Corpus information and the leak audit are printed to stderr.

    Raises:
        InputError: The run to export was trained on another corpus.
    """
    manifest, settings = dataset.manifest, dataset.settings
    if args.export_only is not None:
        folder: Path = args.export_only.absolute()
        expected = run_folder.read_config(folder)["hash"]
        if run_folder.run_hash(settings, manifest) != expected:
            raise InputError(
                f"{folder} was trained on another {manifest.corpus} than the one in "
                f"--data_dir {args.data_dir}; give that one"
            )
        return folder
    folder = args.output_dir.absolute() / run_folder.run_name(settings, manifest)
    refuse_links(folder)
    hashes = dataset.segments.content_hashes
    findings = audit(manifest, folds, settings, hashes, start)
    path = folder / run_folder.CONFIG_NAME
    if path.exists():
        config = run_folder.read_config(folder)
        if config.get("audit") != json.loads(json.dumps(findings)):
            write_json(path, config | {"audit": findings})
            print(f"{path}: held another audit; it is written again", file=sys.stderr)
    else:
        config = run_folder.make_config(
            settings,
            manifest,
            num_folds=len(folds),
            command=args.command,
            data_paths=options.data_paths_from(args),
        )
        started = {"start": start.describe()} if start else {}
        content = {**config, **started, "audit": findings}
        write_json(path, content)
    lines = [
        *manifest.info,
        *manifest.warnings,
        *duration_warning(dataset),
        *batch_warning(dataset, folds),
        *(start.lines(manifest.classes) if start else ()),
        *findings["lines"],
    ]
    note = [f"Note: {manifest.note}"] if manifest.note else []
    print("\n".join([*lines, *note, f"Run folder: {folder}"]), file=sys.stderr)
    return folder


def duration_warning(dataset: Dataset) -> list[str]:
    """A line if every utterance is shorter than the segment."""
    longest_s = dataset.segments.longest_s
    duration_s = dataset.settings.front_end.duration_s
    if longest_s >= duration_s:
        return []
    return [
        f"warning: segments of {duration_s:g} s are longer than every file (the "
        f"longest has {longest_s:.2f} s): all are padded with silence"
    ]


def batch_warning(dataset: Dataset, folds: Sequence[Fold]) -> list[str]:
    """A line if a fold trains on fewer segments in an epoch than a batch has."""
    count = min(len(dataset.training_numbers(fold.train)) for fold in folds)
    batch_size = dataset.settings.training.batch_size
    if count >= batch_size:
        return []
    fitting = 2 ** (count.bit_length() - 1)
    return [
        f"warning: {count} segments train, fewer than a batch of {batch_size}, so some "
        f"occur twice in a step: --batch_size {fitting} fits"
    ]


def chosen_folds(wanted: list[int] | None, num_folds: int) -> list[int]:
    """The numbers of the folds to run.

    Raises:
        InputError: There is no fold of a given number.
    """
    numbers = list(range(num_folds)) if wanted is None else wanted
    if beyond := [number for number in numbers if number >= num_folds]:
        raise InputError(
            f"--folds: there are folds 0 to {num_folds - 1}, got {beyond[0]}"
        )
    return numbers


def finish(
    folder: Path, failures: dict[int, str], command: str, manifest: Manifest
) -> int:
    """Render the finished folds and print the failures; return the exit status."""
    if any(folder.glob("folds/fold_*.json")):
        rendered = report.render(folder, manifest)
        print(rendered.headline, rendered.page, rendered.report, sep="\n")
    for number, error in sorted(failures.items()):
        print(f"train.py: error: fold {number}: {error}", file=sys.stderr)
    if failures:
        print(f"the same command continues from here: {command}", file=sys.stderr)
    return EXIT_USER_ERROR if failures else 0


def show_spread(folders: Sequence[Path], output_dir: Path) -> None:
    """Print and write the spread over seeds, if all runs are finished."""
    try:
        spread = write_spread(folders, output_dir)
    except InputError as error:
        print(f"no spread over seeds: {one_line(error)}", file=sys.stderr)
        return
    print(f"\n{spread.table}\n{spread.files[0]}")


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Options in the groups data, model, training, protocol, run.

    `command` is added: the command line as one printable line, for the record.
    """
    parser = Parser(
        prog="train.py",
        description=__doc__,
        epilog=EXAMPLES + options.corpora_lines(),
    )
    groups = options.add_settings(parser, argv)
    options.add_data_paths(groups["data"])
    options.add_cache(groups["data"])
    recipes = "; ".join(f"{name}: {r.meaning}" for name, r in RECIPES.items())
    groups["training"].add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help=f"settings by name. {recipes}",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--folds",
        type=fold_numbers,
        metavar="LIST",
        help="folds to run: 3 or 0,1 or 0-3; default all",
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
        help="threads per fold (default 1; all cores with a GPU); changes rounding",
    )
    run.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler")
    run.add_argument(
        "--output_dir",
        type=Path,
        default=PROJECT / "result",
        metavar="DIR",
        help="where run folders are made",
    )
    run.add_argument(
        "--record_test_curve",
        action="store_true",
        help="test accuracy by epoch, for plots only",
    )
    run.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard logs"
    )
    run.add_argument(
        "--export_only",
        type=Path,
        metavar="RUN",
        help="export a run folder's folds again, train nothing",
    )
    args = parser.parse_args(argv)
    _check_together(args)
    args.jobs = args.jobs or (1 if args.verbose else default_jobs(args.threads))
    words = shlex.join(["python", "train.py", *argv])
    args.command = os.fsencode(words).decode("utf-8", "backslashreplace")
    return args


def _check_together(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other or that this machine lacks packages for.

    Raises:
        InputError: Which option, and what to do.
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
            "training needs Linux or macOS: its processes get pipes by number; on "
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
    if args.scheduler and importlib.util.find_spec("distributed") is None:
        raise InputError(f"--scheduler needs Dask, which is not installed here: {DASK}")


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


if __name__ == "__main__":
    sys.exit(run_main(main))
