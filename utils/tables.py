"""Tables as text: Markdown, columns in line, and CSV."""

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


def text_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table for a terminal or a text file.

    Args:
        heads: The columns' headings.
        rows: A cell for each heading; shown as `str` does.

    Returns:
        Columns two spaces apart, the first to the left, the others to the right.
    """
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    first, *others = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, *values in cells:
        right = (value.rjust(w) for value, w in zip(values, others, strict=True))
        lines.append("  ".join([name.ljust(first), *right]).rstrip())
    return lines


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, lines ended as on Unix, the same on every system."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
