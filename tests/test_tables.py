"""Tables as text, read back."""

import csv
import io

import pytest

from utils.tables import csv_text, markdown_table, plain_cell, text_table


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


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+2", "'=1+2"),
        ("+49 30", "'+49 30"),
        ("-a.wav", "'-a.wav"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1+2", "' =1+2"),
        ("\t=1+2", "'\t=1+2"),
        ("＝1+2", "'＝1+2"),
        ('=HYPERLINK("http://a","b")', '\'=HYPERLINK("http://a","b")'),
        ("a=1+2", "a=1+2"),
        ("'=1+2", "''=1+2"),
        ("'twas", "'twas"),
        (-12.3, "-12.3"),
        (-1, "-1"),
        ("", ""),
        (None, ""),
    ],
)
def test_no_cell_begins_like_a_formula(cell: object, written: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text([["head", "=head"], ["a", cell]]))))
    assert rows == [["head", "'=head"], ["a", written]]
    assert plain_cell(written) == ("" if cell is None else str(cell))
