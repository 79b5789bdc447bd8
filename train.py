"""Train, validate and report Light-SERNet: one run folder from one command."""

import argparse
import ctypes.util
import dataclasses
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dataio import Dataset, load_dataset
from hyperparameters import InputError, Settings
from utils import options
from utils.cli import EXIT_USER_ERROR, Parser, one_line, run_main, true_or_false
from utils.corpora.load import DataPaths
from utils.files import PROJECT, write_json
from utils.processes import sigterm_as_interrupt, usable_cores
from utils.protocols.audit import audit
from utils.protocols.folds import Fold, make_folds
from utils.report import render as report
from utils.runs import folder as run_folder
from utils.scores.seeds import write_spread
from utils.training.job import FoldOptions, FoldTask, needs_export
from utils.training.progress import RunProgress, terminal_bar
from utils.training.workers import BACKEND, run_tasks

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Args:
        argv: Without the program's name; the process's own where None.

    Returns:
        Exit status: 0; 2 where a fold could not be finished; 130 or 143 where Ctrl-C
        or SIGTERM stopped it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parse_args(arguments)
    words = shlex.join(["python", "train.py", *arguments])
    command = os.fsencode(words).decode("utf-8", "backslashreplace")  # for the record
    try:
        with sigterm_as_interrupt():
            return run(args, command)
    except KeyboardInterrupt as stop:
        print(f"stopped; this goes on where it stopped: {command}", file=sys.stderr)
        return int(stop.args[0])


def run(args: argparse.Namespace, command: str) -> int:
    """Train one run a seed, or export one again; return the exit status."""
    if args.export_only is not None:
        return export_run(args, command)
    outcomes = [
        train_run(settings, args, command) for settings in options.settings_from(args)
    ]
    if len(outcomes) > 1:
        show_spread([folder for folder, _ in outcomes], args.output_dir)
    return max(status for _, status in outcomes)


def train_run(
    settings: Settings, args: argparse.Namespace, command: str
) -> tuple[Path, int]:
    """Train one run (one seed) and render its report.

    Returns:
        Its folder and the exit status.

    Raises:
        InputError: Bad input, found before anything is trained.
    """
    check_exports(settings, args)
    dataset = load_dataset(settings, data_paths_of(args), progress=terminal_bar)
    folds = make_folds(dataset.manifest.utterances, settings)
    numbers = chosen_folds(args.folds, len(folds))
    folder = open_run_folder(dataset, folds, args.output_dir.absolute(), command)
    tasks = make_tasks(dataset, folder, numbers, args, command=command)
    remaining = [task for task in tasks if has_work(task)]
    if not remaining:
        print("all folds asked for are finished: nothing to train", file=sys.stderr)
    return folder, finish(folder, run_all(remaining, args), command)


def export_run(args: argparse.Namespace, command: str) -> int:
    """Export and score the finished folds of a run folder again; train nothing.

    Raises:
        InputError: No run folder, another corpus than it was trained on, or no
            TensorFlow here.
    """
    folder = args.export_only.absolute()
    config = run_folder.read_config(folder)
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError("--export_only needs TensorFlow, which is not installed here")
    settings = run_folder.settings_of(config)
    options.refuse_other_settings(args, settings)
    check_exports(settings, args)
    dataset = load_dataset(settings, data_paths_of(args), progress=terminal_bar)
    if run_folder.run_hash(settings, dataset.manifest) != config["hash"]:
        raise InputError(
            f"{folder} was trained on another {dataset.manifest.corpus} than the one "
            f"in --data_dir {args.data_dir}; give that one"
        )
    numbers = []
    for number in chosen_folds(args.folds, config["num_folds"]):
        if run_folder.read_record(folder, number, config["hash"]) is None:
            print(f"fold {number}: not finished, passed over", file=sys.stderr)
        elif not run_folder.weights_path(folder, number).exists():
            print(f"fold {number}: no weights here, left as it is", file=sys.stderr)
        else:
            numbers.append(number)
    tasks = make_tasks(dataset, folder, numbers, args, command=command)
    return finish(folder, run_all(tasks, args), command)


def check_exports(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse to make models that no runtime could run.

    Raises:
        InputError: Which setting stands against it.
    """
    fft_size = settings.front_end.fft_size
    if args.merge_tflite and fft_size & (fft_size - 1):
        raise InputError(
            f"-m true needs an --fft_size that is a power of two, got {fft_size}: "
            "TensorFlow Lite transforms no other"
        )


def make_tasks(
    dataset: Dataset,
    folder: Path,
    numbers: Sequence[int],
    args: argparse.Namespace,
    *,
    command: str,
) -> list[FoldTask]:
    """Folds of a run, as they travel to workers."""
    settings = dataset.settings
    whole = FoldTask(
        settings=settings,
        data_paths=data_paths_of(args),
        number=0,
        num_folds=len(make_folds(dataset.manifest.utterances, settings)),
        folder=folder,
        run_hash=run_folder.run_hash(settings, dataset.manifest),
        options=FoldOptions(
            command=command,
            verbose=args.verbose,
            record_test_curve=args.record_test_curve,
            tensorboard=args.tensorboard,
            fused=args.merge_tflite,
            export_again=args.export_only is not None,
        ),
        threads=args.threads or (usable_cores() if has_gpu() else 1),
        backend=os.environ.get(BACKEND),
    )
    return [dataclasses.replace(whole, number=number) for number in numbers]


def data_paths_of(args: argparse.Namespace) -> DataPaths:
    """Folders and cache, absolute: a worker may have been started elsewhere."""
    given = options.data_paths_from(args)
    return dataclasses.replace(
        given,
        data_dir=given.data_dir.absolute(),
        derived_dir=given.derived_dir.absolute(),
        manifest_path=given.manifest_path and given.manifest_path.absolute(),
    )


def has_work(task: FoldTask) -> bool:
    """Whether a fold is unfinished, or lacks models that are asked for now."""
    record = run_folder.read_record(task.folder, task.number, task.run_hash)
    if record is None:
        return True
    if not needs_export(record, task.options):
        return False
    has_weights = run_folder.weights_path(task.folder, task.number).exists()
    if not has_weights:
        line = f"fold {task.number}: no weights here, left as it is"
        print(line, file=sys.stderr)
    return has_weights


def finish(folder: Path, failures: dict[int, str], command: str) -> int:
    """Render what there is and say what failed; return the exit status."""
    if any(folder.glob("folds/fold_*.json")):
        rendered = report.render(folder)
        print(f"{rendered.headline}\n{rendered.report}")
    for number, error in sorted(failures.items()):
        print(f"train.py: error: fold {number}: {error}", file=sys.stderr)
    if failures:
        print(f"the same command goes on from here: {command}", file=sys.stderr)
    return EXIT_USER_ERROR if failures else 0


def show_spread(folders: Sequence[Path], output_dir: Path) -> None:
    """Print and write the spread over seeds, where all runs are finished."""
    try:
        spread = write_spread(folders, output_dir)
    except InputError as error:
        print(f"no spread over seeds: {one_line(error)}", file=sys.stderr)
        return
    print(f"\n{spread.table}\n{spread.files[0]}")


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
    if not (folder / run_folder.CONFIG_NAME).exists():
        config = run_folder.make_config(settings, manifest, len(folds), command)
        write_json(folder / run_folder.CONFIG_NAME, {**config, "audit": findings})
    lines = [
        *manifest.info,
        *manifest.warnings,
        *duration_warning(dataset),
        *findings["lines"],
    ]
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


def has_gpu() -> bool:
    """Whether an NVIDIA GPU and its libraries are there; a framework would take long.

    TensorFlow's wheel runs on the CPU where cuDNN is not installed beside it.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    has_device = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
    return has_device and (
        importlib.util.find_spec("nvidia") is not None  # as pip installs them
        or ctypes.util.find_library("cudnn") is not None
    )


def number_of_jobs(args: argparse.Namespace) -> int:
    """As many folds at once as there are cores; one with Keras's bars or a GPU."""
    if args.jobs:
        return int(args.jobs)
    if args.verbose or has_gpu():
        return 1
    return max(1, usable_cores() // (args.threads or 1))


def run_all(tasks: Sequence[FoldTask], args: argparse.Namespace) -> dict[int, str]:
    """Run folds, with their bars.

    Returns:
        One line for each fold that failed.
    """
    jobs = number_of_jobs(args)
    if not tasks:
        return {}
    epochs = tasks[0].settings.training.epochs
    progress = RunProgress(len(tasks), epochs, quiet=bool(args.verbose))
    try:
        return run_tasks(tasks, progress, jobs=jobs, scheduler=args.scheduler)
    finally:
        progress.close()


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


if __name__ == "__main__":
    sys.exit(run_main(main))
