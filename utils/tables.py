"""Tables as Markdown, as aligned text and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA_STARTS = tuple("=+-@＝＋－＠")  # the wide ones in Japanese spreadsheets


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[object]] = ()
) -> list[str]:
    """Lines of a Markdown table.

    Args:
        heads: The column headings.
        rows: One cell per heading; printed by `str`.
    """
    return [markdown_row(row) for row in (heads, ["---"] * len(heads), *rows)]


def markdown_row(cells: Iterable[object]) -> str:
    """One line of a Markdown table; bars inside cells are escaped."""
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"


def text_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table for a terminal or a text file.

    Args:
        heads: The column headings.
        rows: One cell per heading; printed by `str`.

    Returns:
        Lines with columns two spaces apart, the first left-aligned, the others right.
    """
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    first, *others = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, *values in cells:
        right = (value.rjust(w) for value, w in zip(values, others, strict=True))
        lines.append("  ".join([name.ljust(first), *right]).rstrip())
    return lines


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, with `\\n` line ends on every system.

    A text that begins like a formula gets an apostrophe, because spreadsheets would
    compute it; numbers stay as they are. `plain_cell` removes it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    return text.getvalue()


def _no_formula(cell: Any) -> Any:
    """The same cell, but no text that begins like a formula, after spaces too."""
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def plain_cell(cell: str) -> str:
    """A text as it was before `csv_text` wrote it."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(cell: str) -> bool:
    """Whether a text begins like a formula, or like one that `csv_text` wrote."""
    return cell.lstrip(" \t\r\n'")[:1] in FORMULA_STARTS
