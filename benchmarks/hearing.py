"""Is the answer better if a model hears the whole utterance, not only its centre?

    python -m benchmarks.hearing --run result/RUN

The float32 model of each fold classifies its test utterances twice: their centre
segment, and overlapping segments that cover up to ten seconds, whose probabilities are
averaged. The test flips signs over speakers.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hyperparameters import InputError
from tflite_evaluate import run_reader
from utils import options
from utils.audio.prepare import CENTRE, OVERLAPPING
from utils.cli import Parser, run_main, terminal_bar
from utils.model_files.tflite import predict_recordings
from utils.runs.records import Run, load_run
from utils.scores.evaluation import ReadUtterance, fold_files, fold_models
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.metrics import scores_of
from utils.scores.paired import common_utterances, sign_flip, unit_differences
from utils.tables import markdown_table

MODEL = "float32"
MODES = {"centre": CENTRE, "overlapping": OVERLAPPING}
HEADS = ("test utterances", "n", "score", *MODES, "difference", "p")
Heard = dict[str, Run]  # by the name of the mode, a run with its answers


def hear(
    run: Run, read: ReadUtterance, progress: Any = iter
) -> tuple[Heard, dict[str, int]]:
    """Classify the test utterances of a run's folds in both ways.

    Args:
        run: A run, complete or not; folds without a model file are left out.
        read: Utterance id to samples, (samples,) at the run's rate.
        progress: Wraps the loop over folds, as tqdm does.

    Returns:
        The run with the answers of each way, and the utterances' lengths in samples.

    Raises:
        InputError: No fold has a float32 model file.
    """
    tested = [record for record in run.records if record["test"]]
    folds = [r for r in tested if MODEL in fold_files(run, r["fold"])]
    if not folds:
        raise InputError(f"{run.folder}: no fold has its {MODEL} model file")
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in MODES}
    lengths: dict[str, int] = {}
    for record in progress(folds):
        models = fold_models(run, record, [MODEL])
        recordings = [read(name) for name in record["test"]]
        lengths |= dict(zip(record["test"], map(len, recordings), strict=True))
        for name, mode in MODES.items():
            answers = predict_recordings(models, recordings, mode)
            table = {MODEL: answers[MODEL].tolist()}
            records[name].append(record | {"probabilities": table})
    heard = {name: replace(run, records=tuple(records[name])) for name in MODES}
    return heard, lengths


def table_rows(heard: Heard, lengths: Mapping[str, int]) -> list[tuple[object, ...]]:
    """UA and WA of both ways: of all utterances, and of those longer than a segment."""
    settings = heard["centre"].settings
    duration_s = float(settings["duration_s"])
    limit = duration_s * settings["sample_rate_hz"]
    longer = {name for name, length in lengths.items() if length > limit}
    rows: list[tuple[object, ...]] = []
    for label, chosen in (
        ("all", set(lengths)),
        (f"longer than {duration_s:g} s", longer),
    ):
        if chosen:
            rows += _compared(label, [_only(heard[name], chosen) for name in MODES])
    return rows


def _only(run: Run, chosen: Collection[str]) -> Run:
    """The run with some of its test utterances."""
    records = []
    for record in run.records:
        kept = [name in chosen for name in record["test"]]
        part = {key: _kept(record[key], kept) for key in ("test", "labels", "speakers")}
        table = {MODEL: _kept(record["probabilities"][MODEL], kept)}
        records.append({**record, **part, "probabilities": table})
    return replace(run, records=tuple(records))


def _kept(values: Sequence[Any], kept: Iterable[bool]) -> list[Any]:
    return [value for value, is_kept in zip(values, kept, strict=True) if is_kept]


def _compared(label: str, runs: Sequence[Run]) -> list[tuple[object, ...]]:
    """A row for UA and one for WA."""
    first, second = runs
    tables = [headline_intervals(run.rows(MODEL), scores_of) for run in runs]
    paired = common_utterances(first, second, MODEL)
    if paired is None:
        return []
    unit, differences = unit_differences(paired)
    return [
        (
            label,
            len(paired.true),
            name,
            *(interval_text(scores[index]) for scores in tables),
            f"{100 * np.sum(differences[index]):+.2f}",
            f"{sign_flip(differences[index]):.3f} (unit: {unit})",
        )
        for index, name in enumerate(("UA %", "WA %"))
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of one run."""
    parser = Parser(prog="python -m benchmarks.hearing", description=__doc__)
    parser.add_argument(
        "--run", type=Path, required=True, metavar="FOLDER", help="a run folder"
    )
    options.add_data_paths(parser, derived="as in train.py; nothing is written to it")
    args = parser.parse_args(argv)
    run = load_run(args.run)
    with threadpool_limits(1):
        heard, lengths = hear(
            run, run_reader(run, args), lambda items: terminal_bar(items, unit="fold")
        )
    folds = len(heard["centre"].records)
    print("\n".join(markdown_table(HEADS, table_rows(heard, lengths))))
    print(f"\n{run.folder.resolve().name}: {folds} of {run.num_folds} folds")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
