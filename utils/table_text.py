"""Tables as text: Markdown and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

PIPE = r"\|"  # a bar inside a cell


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[object]] = ()
) -> list[str]:
    """Lines of a Markdown table.

    Args:
        heads: The columns' headings.
        rows: A cell for each heading; shown as `str` does.

    Returns:
        Two lines of head, then one a row.
    """
    return [
        markdown_row(heads),
        markdown_row(["---"] * len(heads)),
        *map(markdown_row, rows),
    ]


def markdown_row(cells: Iterable[object]) -> str:
    """One line of a Markdown table; a bar in a cell stays a bar."""
    return f"| {' | '.join(str(cell).replace('|', PIPE) for cell in cells)} |"


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, lines ended as on Unix, the same on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
