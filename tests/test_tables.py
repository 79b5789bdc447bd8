"""Tables as text, read back."""

import csv

from utils.tables import csv_text, markdown_table, text_table


def test_a_markdown_table_has_one_cell_per_heading() -> None:
    lines = ["| max \\|Δp\\| | n |", "| --- | --- |", "| anger | 3 |", "| fear | 4 |"]
    assert markdown_table(("max |Δp|", "n"), [("anger", 3), ("fear", 4)]) == lines


def test_columns_are_aligned() -> None:
    lines = ["class   n", "anger   3", "fear   14"]
    assert text_table(("class", "n"), [("anger", 3), ("fear", 14)]) == lines


def test_csv_is_read_back_as_written() -> None:
    rows = [["a, b", 'say "no"'], ["two\nlines", "ä"]]
    text = csv_text(rows)
    assert list(csv.reader(text.splitlines(keepends=True))) == rows
    assert "\r" not in text
