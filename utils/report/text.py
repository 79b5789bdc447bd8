"""The report as text, at most 88 columns wide where it is not a table."""

import textwrap
import warnings
from collections.abc import Mapping
from typing import Any

from utils.report.sections import (
    NO_SCORE,
    Section,
    audit_lines,
    facts,
    score_sections,
    warning,
)
from utils.runs.records import Run
from utils.tables import text_table

WIDTH = 88
LABEL_WIDTH = 12  # of the header's left column


def report_text(run: Run, metrics: Mapping[str, Any]) -> str:
    """The whole report.

    Args:
        run: A run, complete or not.
        metrics: As from `utils.report.render.metrics_of`.
    """
    parts = [textwrap.wrap(warning(run), WIDTH), _header(run, metrics)]
    if metrics["keras"]["n"]:
        sections = score_sections(run, metrics)
        parts += [_classification(run), *map(_section, sections)]
    else:
        parts.append([NO_SCORE])
    parts.append([*_title("Leak audit"), *audit_lines(metrics["audit"])])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _header(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """The corpus as heading, then the facts, one per paragraph."""
    lines = _title(f"Light-SERNet on {run.config['corpus']['name']}", "=")
    for label, text in facts(run, metrics).items():
        first, others = f"{label:<{LABEL_WIDTH}}", " " * LABEL_WIDTH
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=others
        )
    return lines


def _classification(run: Run) -> list[str]:
    """scikit-learn's classification report with 4 digits, as in the original."""
    with warnings.catch_warnings():  # joblib's, if it may not write to /dev/shm
        warnings.simplefilter("ignore", UserWarning)
        from sklearn.metrics import classification_report  # takes a second

    rows = run.rows()
    text = classification_report(
        rows.true,
        rows.predicted,
        labels=range(len(run.classes)),
        target_names=run.classes,
        digits=4,
        zero_division=0.0,
    )
    lines = [*_title("Classification report"), *text.rstrip().splitlines()]
    if untested := sorted(set(range(len(run.classes))) - set(rows.true.tolist())):
        names = ", ".join(run.classes[index] for index in untested)
        note = "The macro average counts it as 0; UA below does not."
        lines += textwrap.wrap(f"Not tested: {names}. {note}", WIDTH)
    return lines


def _section(section: Section) -> list[str]:
    """Heading, table and notes of a section."""
    notes = [line for note in section.notes for line in textwrap.wrap(note, WIDTH)]
    table = text_table(section.heads, section.rows)
    return [*_title(section.title), *table, *notes]


def _title(text: str, underline: str = "-") -> list[str]:
    return [text, underline * len(text)]
