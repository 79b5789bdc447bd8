"""Compare runs: one table, with paired tests against the first run.

    python -m utils.scores.compare RUN RUN [...] [--allow_different] [--markdown FILE]

The tests are paired over the utterances that both runs tested. Runs with different
protocols or utterances are compared only with `--allow_different`, and the table then
says so.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.files import write_atomic
from utils.runs.records import Run, load_run
from utils.scores.intervals import headline_intervals, interval_text
from utils.scores.metrics import SCORES, by_name, scores_of
from utils.scores.paired import (
    Paired,
    common_utterances,
    mcnemar,
    sign_flip,
    unit_differences,
)
from utils.tables import markdown_table

IN_TABLE = ("ua", "wa", "weighted_f1")
HEADS = ("run", "protocol", "select", "chosen_on", "seed", "epochs", "folds", "rows")


def differences(first: Run, other: Run, source: str = "keras") -> list[str]:
    """What makes the scores of two runs incomparable; empty if nothing does."""
    aspects: list[tuple[str, Callable[[Run], object]]] = [
        ("corpus", lambda run: run.corpus_digest),
        ("classes", lambda run: run.classes),
        ("protocol", lambda run: run.protocol),
        ("set that chose the epoch", lambda run: run.chosen_on),
        ("utterances", lambda run: sorted(run.rows(source).utterance_ids)),
    ]
    return [name for name, of in aspects if of(first) != of(other)]


def compare(
    runs: Sequence[Run], *, source: str = "keras", allow_different: bool = False
) -> list[dict[str, Any]]:
    """Scores of each run, and paired tests against the first.

    Args:
        runs: Two or more.
        source: The model to compare: `keras`, `float32`, `int8`, ...
        allow_different: Accept different protocols or utterances.

    Returns:
        One dictionary per run, ready for JSON, scores as fractions of 1. `differs`
        lists what makes it incomparable with the first, `paired` holds the tests.

    Raises:
        InputError: Runs differ and `allow_different` is False, or a run has no scores.
    """
    first, *others = runs
    lines = [_describe(first, source) | {"differs": [], "paired": None}]
    for other in others:
        differs = differences(first, other, source)
        if differs and not allow_different:
            raise InputError(
                f"{other.folder} and {first.folder} differ in {', '.join(differs)}: "
                "their scores do not answer the same question; --allow_different "
                "compares them all the same and says so"
            )
        tests = _tests(common_utterances(first, other, source))
        line = _describe(other, source)
        lines.append(line | {"differs": differs, "paired": tests})
    return lines


def _describe(run: Run, source: str) -> dict[str, Any]:
    """What was run, and its scores with their intervals."""
    rows = run.rows(source)
    if not len(rows):
        raise InputError(
            f"{run.folder}: protocol {run.protocol} tests no utterance; there is "
            "nothing to compare"
        )
    settings = run.settings
    return {
        "run": run.folder.resolve().name,
        "protocol": run.protocol,
        "select": settings["select"],
        "chosen_on": run.chosen_on,
        "seed": settings["seed"],
        "epochs": settings["epochs"],
        "folds": f"{len(run.records)}/{run.num_folds}",
        "rows": len(rows),
        **by_name(headline_intervals(rows, scores_of)),
    }


def _tests(paired: Paired | None) -> dict[str, Any] | None:
    """Differences (second minus first) and p values of two runs."""
    if paired is None:
        return None
    unit, contributions = unit_differences(paired)
    return {
        "utterances": len(paired.true),
        "unit": unit,
        "ua_difference": float(contributions[0].sum()),
        "wa_difference": float(contributions[1].sum()),
        "ua_sign_flip_p": sign_flip(contributions[0]),
        "wa_sign_flip_p": sign_flip(contributions[1]),
        "mcnemar_p": mcnemar(paired),
    }


def to_markdown(lines: Sequence[dict[str, Any]]) -> str:
    """The comparison as a Markdown table with its legend; scores in percent."""
    heads = [name.replace("_", " ") for name in HEADS]
    heads += [f"{SCORES[name]} % [95 % interval]" for name in IN_TABLE]
    heads += ["ΔUA (p)", "ΔWA (p)", "McNemar p", "differs in"]
    table = [
        [
            *(line[name] for name in HEADS),
            *(interval_text(line[name]) for name in IN_TABLE),
            *_test_cells(line["paired"]),
            _differs(line),
        ]
        for line in lines
    ]
    methods = {line["ua"]["method"] for line in lines}
    units = {line["paired"]["unit"] for line in lines if line["paired"]}
    notes = [
        f"Intervals: {'; '.join(sorted(methods))}.",
        "Δ and p: against the first run, paired on the utterances both tested "
        f"(sign flips over {' or '.join(sorted(units)) or 'speaker'}s, two-sided; "
        "McNemar: exact, as if utterances were independent).",
    ]
    if any(line["differs"] for line in lines):
        notes.append("Runs that differ in the last column were compared on request.")
    return "\n".join([*markdown_table(heads, table), "", *notes]) + "\n"


def _test_cells(tests: dict[str, Any] | None) -> list[str]:
    """Differences in percentage points and p values; dashes without a test."""
    if tests is None:
        return ["–"] * 3
    cells = [
        difference_text(tests[f"{name}_difference"], tests[f"{name}_sign_flip_p"])
        for name in ("ua", "wa")
    ]
    p = tests["mcnemar_p"]
    return [*cells, "–" if p is None else f"{p:.3f}"]


def difference_text(difference: float, p: float, digits: int = 1) -> str:
    """`+1.2 (0.031)`: a difference in percentage points and its p value."""
    return f"{100 * difference:+.{digits}f} ({p:.3f})"


def _differs(line: dict[str, Any]) -> str:
    """What differs, and the number of common utterances if their sets differ."""
    text = ", ".join(line["differs"])
    if "utterances" not in line["differs"]:
        return text
    common = line["paired"]["utterances"] if line["paired"] else 0
    return f"{text} ({common} common)"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m utils.scores.compare",
        description="Print a table of runs, with paired tests against the first.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "--source", default="keras", help="model: keras, float32, int8, ..."
    )
    parser.add_argument(
        "--allow_different",
        action="store_true",
        help="compare runs whose protocols or utterances differ, and say so",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write it there")
    arguments = parser.parse_args(argv)
    if len(arguments.runs) < 2:
        parser.error(f"give two run folders or more, got {len(arguments.runs)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the run folders of the command line; the table goes to stdout."""
    arguments = parse_args(argv)
    lines = compare(
        [load_run(folder) for folder in arguments.runs],
        source=arguments.source,
        allow_different=arguments.allow_different,
    )
    markdown = to_markdown(lines)
    if arguments.markdown:
        write_atomic(arguments.markdown, markdown)
    print(markdown, end="")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
