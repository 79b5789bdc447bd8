"""Compare runs: one table, with paired tests against the first run.

    python -m utils.scores.compare RUN RUN [...] [--pool_seeds] [--allow_different]
        [--markdown FILE] [--plot FILE.png]

The tests are paired over the utterances that both runs tested. Runs with different
protocols or utterances are compared only with `--allow_different`, and the table then
says so. With `--pool_seeds`, runs that differ in the seed alone are one row: the mean
over their seeds.
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
from utils.scores.metrics import SCORES, by_name, recalls_of, scores_of
from utils.scores.paired import (
    Paired,
    common_utterances,
    mcnemar,
    sign_flip,
    unit_differences,
)
from utils.scores.seeds import pool_seeds
from utils.tables import markdown_table, text_table

IN_TABLE = ("ua", "wa", "weighted_f1")
# settings of the first run that are shown; of others, those that differ from it
SHOWN = ("dataset_name", "protocol", "select", "loss_name", "seed", "epochs")


def differences(first: Run, other: Run, source: str = "keras") -> list[str]:
    """What makes the scores of two runs incomparable; empty if nothing does."""
    aspects: list[tuple[str, Callable[[Run], object]]] = [
        ("corpus", lambda run: run.corpus_digest),
        ("classes", lambda run: run.classes),
        ("protocol", lambda run: run.protocol),
        ("set that chose the epoch", lambda run: run.chosen_on),
        ("utterances", lambda run: sorted(set(run.rows(source).utterance_ids))),
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
    lines = [_describe(first, first, source) | {"differs": [], "paired": None}]
    for other in others:
        differs = differences(first, other, source)
        if differs and not allow_different:
            raise InputError(
                f"{other.folder} and {first.folder} differ in {', '.join(differs)}: "
                "their scores do not answer the same question; --allow_different "
                "compares them all the same and says so"
            )
        tests = _tests(common_utterances(first, other, source))
        line = _describe(other, first, source)
        lines.append(line | {"differs": differs, "paired": tests})
    return lines


def _describe(run: Run, first: Run, source: str) -> dict[str, Any]:
    """What was run, how it differs from the first run, its scores with intervals."""
    rows = run.rows(source)
    if not len(rows):
        raise InputError(
            f"{run.folder}: protocol {run.protocol} tests no utterance; there is "
            "nothing to compare"
        )
    settings, others = _settings(run), _settings(first)
    shown = SHOWN if run is first else [k for k in settings if settings[k] != others[k]]
    return {
        "run": run.folder.resolve().name,
        "settings": {name: settings[name] for name in shown},
        "chosen_on": run.chosen_on,
        "progress": run.progress,
        "is_complete": run.is_complete,
        "rows": len(rows),
        **by_name(headline_intervals(rows, scores_of)),
    }


def _settings(run: Run) -> dict[str, Any]:
    """The settings of a run, with all seeds of pooled ones."""
    return {**run.settings, **({"seed": s} if (s := run.config.get("seeds")) else {})}


def _tests(paired: Paired | None) -> dict[str, Any] | None:
    """Differences (second minus first) and p values of two runs."""
    if paired is None:
        return None
    unit, contributions = unit_differences(paired)
    return {
        "utterances": len(paired.true),
        "unit": unit,
        "units": contributions.shape[1],
        "ua_difference": float(contributions[0].sum()),
        "wa_difference": float(contributions[1].sum()),
        "ua_sign_flip_p": sign_flip(contributions[0]),
        "wa_sign_flip_p": sign_flip(contributions[1]),
        "mcnemar_p": mcnemar(paired),
    }


def to_text(lines: Sequence[dict[str, Any]], *, markdown: bool = False) -> str:
    """The comparison as a table of numbered runs with its legend; scores in percent.

    Args:
        lines: From `compare`.
        markdown: Markdown instead of columns for a terminal.
    """
    heads = ["run", *(f"{SCORES[name]} %" for name in IN_TABLE)]
    heads += ["ΔUA (p)", "ΔWA (p)", "McNemar p"]
    rows = [
        [
            number,
            *(interval_text(line[name]) for name in IN_TABLE),
            *_test_cells(line["paired"]),
        ]
        for number, line in enumerate(lines, 1)
    ]
    table = markdown_table(heads, rows) if markdown else text_table(heads, rows)
    runs = [f"{number}. {_run_text(line)}" for number, line in enumerate(lines, 1)]
    return "\n".join([*table, "", *runs, "", *_notes(lines)]) + "\n"


def _test_cells(tests: dict[str, Any] | None) -> list[str]:
    """Differences in percentage points and p values; dashes without a test."""
    if tests is None:
        return ["–"] * 3
    cells = [
        difference_text(tests[f"{name}_difference"], tests[f"{name}_sign_flip_p"])
        for name in ("ua", "wa")
    ]
    p = tests["mcnemar_p"]
    return [*cells, "–" if p is None else p_text(p)]


def difference_text(difference: float, p: float, digits: int = 1) -> str:
    """`+1.2 (0.031)`: a difference in percentage points and its p value."""
    return f"{100 * difference:+.{digits}f} ({p_text(p)})"


def p_text(p: float) -> str:
    """`0.031`, or `<0.001`."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _short_text(line: dict[str, Any]) -> str:
    """What makes a run different, for a legend; how much of it was tested."""
    settings = ", ".join(f"{name} {value}" for name, value in line["settings"].items())
    part = "" if line["is_complete"] else f"; PARTIAL: {line['progress']}"
    return f"{settings or line['run']}{part}"


def heading_of(runs: Sequence[Run]) -> list[str]:
    """Corpora with their notes, and the audits' verdicts, each once."""
    names = [(run.config["corpus"]["name"], run.note) for run in runs]
    corpora = [". ".join(filter(None, texts)) for texts in names]
    verdicts = [
        f"Protocol {run.protocol}: {run.verdict or 'no audit recorded'}" for run in runs
    ]
    return list(dict.fromkeys([*corpora, *verdicts]))


def _run_text(line: dict[str, Any]) -> str:
    """A run's name, its settings, and how much of it was tested."""
    settings = ", ".join(f"{name} {value}" for name, value in line["settings"].items())
    part = "" if line["is_complete"] else "PARTIAL: "
    text = (
        f"{line['run']}: {settings or 'the same settings'}; epoch chosen on: "
        f"{line['chosen_on']}; {part}{line['progress']}, {line['rows']:,} rows"
    )
    if not line["differs"]:
        return text
    common = line["paired"]["utterances"] if line["paired"] else 0
    return (
        f"{text}. Compared on request, although it differs in "
        f"{', '.join(line['differs'])} ({common:,} common utterances)"
    )


def _notes(lines: Sequence[dict[str, Any]]) -> list[str]:
    """What the numbers mean, and the smallest p that the tests can reach."""
    methods = {line["ua"]["method"] for line in lines}
    tests = [line["paired"] for line in lines if line["paired"]]
    units = sorted({found["unit"] for found in tests})
    notes = [
        f"95 % intervals in brackets: {'; '.join(sorted(methods))}.",
        "Δ and p: against the first run, paired on the utterances that both tested "
        f"(sign flips over {' or '.join(units) or 'speaker'}s, two-sided; McNemar: "
        "exact, as if utterances were independent).",
    ]
    if not tests:
        return notes
    fewest = min(found["units"] for found in tests)
    smallest = 2.0 ** (1 - fewest)  # all signs alike, or all opposite
    if smallest >= 0.001:
        of_what = f"{fewest} {' or '.join(units)}s"
        notes.append(f"Sign flips over {of_what} cannot give a p below {smallest:.3f}.")
    return notes


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
    parser.add_argument(
        "--pool_seeds",
        action="store_true",
        help="one row for runs that differ in the seed alone: the mean over seeds",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw scores and recalls: png or pdf"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write it as Markdown"
    )
    arguments = parser.parse_args(argv)
    if len(arguments.runs) < 2:
        parser.error(f"give two run folders or more, got {len(arguments.runs)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the run folders of the command line; the table goes to stdout."""
    arguments = parse_args(argv)
    runs = [load_run(folder) for folder in arguments.runs]
    runs = pool_seeds(runs) if arguments.pool_seeds else runs
    lines = compare(
        runs, source=arguments.source, allow_different=arguments.allow_different
    )
    if arguments.plot:
        from utils.scores.comparison_plot import save_comparison  # slow to import

        scores = [{SCORES[name]: line[name] for name in IN_TABLE} for line in lines]
        texts = [f"{n}. {_short_text(line)}" for n, line in enumerate(lines, 1)]
        recalls = [recalls_of(run, arguments.source) for run in runs]
        save_comparison(arguments.plot, heading_of(runs), texts, scores, recalls)
    heading = heading_of(runs)
    if arguments.markdown:
        text = to_text(lines, markdown=True)
        write_atomic(arguments.markdown, "\n".join([text, *heading, ""]))
    print(to_text(lines), *heading, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
