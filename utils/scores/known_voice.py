"""What recordings of a voice are worth: scores by the number that set the scale.

    python -m utils.scores.known_voice result/RUN

The recordings are not labelled. Those that set the scale are not scored, except in the
last row, where all of a voice's test recordings do both.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
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
SYSTEMS = {
    "keras": NETWORK,
    "int8": f"{NETWORK}, int8",
    "functionals": LINEAR,
    "pair": PAIR,
}


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
    return [
        (
            *(line["recordings"], line["system"]),
            *(interval_text(line["ua"]), interval_text(line["wa"]), line["rows"]),
        )
        for line in known_voice_scores(run)
    ]


def known_voice_scores(run: Run) -> list[dict[str, Any]]:
    """The same scores as numbers, ready for JSON.

    Returns:
        `recordings`, `system`, `ua` and `wa` with value and interval, `rows`. A run
        that scales no features to a voice has only the lines without recordings.

    Raises:
        InputError: A record is damaged.
    """
    lines = []
    for recordings, system, rows in scored_systems(run):
        ua, wa, *_ = headline_intervals(rows, scores_of)
        line = {"recordings": recordings, "system": system, "ua": ua, "wa": wa}
        lines.append(line | {"rows": len(rows)})
    return lines


def scored_systems(run: Run) -> list[tuple[str, str, Rows]]:
    """What `known_voice_rows` scores: recordings, system, and its rows.

    Raises:
        InputError: A record is damaged.
    """
    try:
        return list(_systems(run))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{run.folder}: {DAMAGED}") from error


def _systems(run: Run) -> Iterator[tuple[str, str, Rows]]:
    """Which recordings, which system, and its rows."""
    rows = run.rows()
    yield NOTHING_KNOWN, NETWORK, rows
    if "int8" in run.sources:
        yield NOTHING_KNOWN, SYSTEMS["int8"], run.rows("int8")
    if all("functionals" in record for record in run.records):
        linear = _with(rows, [r["functionals"]["none"] for r in run.records])
        yield NOTHING_KNOWN, LINEAR, linear
        yield NOTHING_KNOWN, PAIR, _mean(rows, linear)
    if all("known_voice" in record for record in run.records):
        yield from known_voice_systems(rows, [r["known_voice"] for r in run.records])


def known_voice_systems(
    rows: Rows, found: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, Rows]]:
    """What is scored if some recordings of the test voice set the scale.

    Args:
        rows: All test utterances.
        found: `known_voice` of each fold's record.

    Returns:
        Which recordings, which system, and its rows.
    """
    draws = [of_fold["draws"] for of_fold in found]
    for name in draws[0]:
        if all(name in of_fold for of_fold in draws):
            label = "3 neutral" if name == "neutral" else name
            for system in draws[0][name]:
                drawn = [of_fold[name][system] for of_fold in draws]
                yield label, SYSTEMS[system], _drawn(rows, drawn)
    tables = [of_fold["all"] for of_fold in found]
    # Folds that were not exported have no int8.
    systems = [s for s in tables[0] if s != "int8" or all(s in t for t in tables)]
    of_all = {s: _with(rows, [table[s] for table in tables]) for s in systems}
    for system, of_system in of_all.items():
        yield "all", SYSTEMS[system], of_system
    if "keras" in of_all and "functionals" in of_all:
        yield "all", PAIR, _mean(of_all["keras"], of_all["functionals"])


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


def _mean(network: Rows, linear: Rows) -> Rows:
    """The mean of two systems' probabilities."""
    return _with(network, [(network.probabilities + linear.probabilities) / 2])


def _drawn(rows: Rows, tables: Sequence[Any]) -> Rows:
    """The rows of all draws of one number of recordings, without those that were used.

    The recorded classes become probabilities of 1.

    Args:
        rows: All test utterances.
        tables: By fold, for each draw, the class of each utterance, or −1.
    """
    parts = []
    for draw in range(min(map(len, tables))):
        of_folds = [table[draw] for table in tables]
        predicted = _checked(of_folds, (len(rows),)).astype(int)
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
    print("", *filter(None, (run.verdict, run.note)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
