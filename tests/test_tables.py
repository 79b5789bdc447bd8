"""Tables as text, read back."""

import csv

from utils.tables import csv_text, markdown_row, markdown_table, text_table


def test_a_markdown_table_has_a_cell_for_each_heading() -> None:
    assert markdown_table(("class", "n"), [("anger", 3), ("fear", 4)]) == [
        "| class | n |",
        "| --- | --- |",
        "| anger | 3 |",
        "| fear | 4 |",
    ]


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert markdown_row(["max |Δp|", 1]) == r"| max \|Δp\| | 1 |"


def test_columns_stand_in_line() -> None:
    assert text_table(("class", "n"), [("anger", 3), ("fear", 14)]) == [
        "class   n",
        "anger   3",
        "fear   14",
    ]


def test_csv_is_read_back_as_written() -> None:
    rows = [["a, b", 'say "no"'], ["two\nlines", "ä"]]
    text = csv_text(rows)
    assert list(csv.reader(text.splitlines(keepends=True))) == rows
    assert "\r" not in text
