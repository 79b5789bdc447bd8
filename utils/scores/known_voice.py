"""What recordings of a voice are worth: scores by the number that set the scale.

    python -m utils.scores.known_voice result/RUN

The recordings are not labelled. Those that set the scale are not scored, except in the
last row, where all of a voice's test recordings do both.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.runs.records import Rows, Run, load_run
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.metrics import scores_of
from utils.tables import markdown_table

HEADS = ("recordings that set the scale", "system", "UA %", "WA %", "n")
NOTHING_KNOWN = "none"
DAMAGED = "`known_voice` or `functionals` is damaged; train these folds again"
NETWORK, LINEAR, PAIR = "network", "functionals", "mean of both"


def known_voice_table(run: Run) -> list[str]:
    """Lines of a Markdown table of `known_voice_rows`.

    Raises:
        InputError: The run has no predictions with the scale of a known voice.
    """
    if not all("known_voice" in record for record in run.records):
        raise InputError(
            f"{run.folder}: has no predictions for known voices; train with "
            "--feature_scaling voice, for example --recipe new_voice"
        )
    return markdown_table(HEADS, known_voice_rows(run))


def known_voice_rows(run: Run) -> list[tuple[str, str, str, str, int]]:
    """The scores of a run by the recordings that set the scale, as printed.

    Args:
        run: Complete or not. If it records nothing on known voices, only the rows
            without recordings are made.

    Returns:
        Recordings (`none`, `1`, `3 neutral`, `all`), system, UA and WA with intervals,
        number of rows scored.

    Raises:
        InputError: A record is damaged.
    """
    table = []
    try:
        for recordings, system, rows in _systems(run):
            ua, wa, *_ = headline_intervals(rows, scores_of)
            shown = interval_text(ua), interval_text(wa)
            table.append((recordings, system, *shown, len(rows)))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{run.folder}: {DAMAGED}") from error
    return table


def _systems(run: Run) -> Iterator[tuple[str, str, Rows]]:
    """Which recordings, which system, and its rows."""
    rows, has_int8 = run.rows(), "int8" in run.sources
    yield NOTHING_KNOWN, NETWORK, rows
    if has_int8:
        yield NOTHING_KNOWN, f"{NETWORK}, int8", run.rows("int8")
    yield from _with_functionals(run, rows, NOTHING_KNOWN)
    if not all("known_voice" in record for record in run.records):
        return
    for name in run.records[0]["known_voice"]["draws"]:
        if all(name in record["known_voice"]["draws"] for record in run.records):
            label = "3 neutral" if name == "neutral" else name
            yield label, NETWORK, _drawn(run, rows, name)
    known = [record["known_voice"]["all"] for record in run.records]
    of_all = _with(rows, [table["keras"] for table in known])
    yield "all", NETWORK, of_all
    if has_int8:
        int8 = _with(rows, [table["int8"] for table in known])
        yield "all", f"{NETWORK}, int8", int8
    yield from _with_functionals(run, of_all, "all")


def _with(rows: Rows, tables: Sequence[Any]) -> Rows:
    """The same rows with other probabilities, fold by fold."""
    return Rows(
        utterance_ids=rows.utterance_ids,
        true=rows.true,
        probabilities=_checked(tables, (len(rows), rows.num_classes)),
        speakers=rows.speakers,
        folds=rows.folds,
    )


def _checked(tables: Sequence[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Tables of the folds, joined.

    Raises:
        TypeError, ValueError: They are no numbers of that shape.
    """
    values = np.concatenate([np.array(table, np.float64) for table in tables])
    if values.shape != shape:
        raise ValueError(values.shape)
    return values


def _with_functionals(
    run: Run, network: Rows, scale: str
) -> Iterator[tuple[str, str, Rows]]:
    """The linear model on functionals, and its mean with the network."""
    if all("functionals" in record for record in run.records):
        linear = _with(network, [r["functionals"][scale] for r in run.records])
        yield scale, LINEAR, linear
        mean = (linear.probabilities + network.probabilities) / 2
        yield scale, PAIR, _with(network, [mean])


def _drawn(run: Run, rows: Rows, name: str) -> Rows:
    """The rows of all draws of one number of recordings, without those that were used.

    The recorded classes become probabilities of 1.
    """
    tables = [record["known_voice"]["draws"][name] for record in run.records]
    parts = []
    for draw in range(min(map(len, tables))):
        predicted = _checked([table[draw] for table in tables], (len(rows),))
        predicted = np.clip(predicted, -1, rows.num_classes - 1).astype(int)
        kept = np.flatnonzero(predicted >= 0)
        chosen = rows.take(kept)
        parts.append(_with(chosen, [np.eye(rows.num_classes)[predicted[kept]]]))
    joined = {
        field: np.concatenate([getattr(part, field) for part in parts])
        for field in ("utterance_ids", "true", "probabilities", "speakers", "folds")
    }
    return Rows(**joined)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of a run."""
    parser = Parser(prog="python -m utils.scores.known_voice", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder, or one in reproduction/")
    run = load_run(parser.parse_args(argv).run)
    settings = run.settings
    print(
        f"{run.config['corpus']['name']}, protocol {run.protocol}, seed "
        f"{settings['seed']}, {settings['epochs']} epochs, {run.progress}. "
        "All rows but `none` use unlabelled recordings of the test speaker. "
        "Square brackets: 95 % intervals over speakers.\n"
    )
    print("\n".join(known_voice_table(run)))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
