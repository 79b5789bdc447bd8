"""Recordings named `<class>_<origin>[_n].wav`, scored as in the report's Table 2.

G. Panici's report (2022) tried a trained network on recordings of its author's own,
such as `sadness_external_2.wav`: file, origin, correct class, classified as.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple


class Label(NamedTuple):
    """What a file name says: the correct class, and where the recording is from."""

    class_name: str
    origin: str


class Row(NamedTuple):
    """A row of Table 2."""

    name: str
    label: Label
    answer: str

    @property
    def is_right(self) -> bool:
        """Whether the model gave the correct class."""
        return self.answer == self.label.class_name


def read_label(name: str, classes: Sequence[str]) -> Label | None:
    """Class and origin from a file name.

    Args:
        name: Such as `anxiety_fear_phone_2.wav`, with or without folders.
        classes: The model's; the longest that fits counts.

    Returns:
        The label; None where the name does not begin with a class and an origin.
    """
    stem = PurePath(name).stem
    for class_name in sorted(classes, key=len, reverse=True):
        rest = stem.removeprefix(f"{class_name}_")
        origin = re.sub(r"_\d+$", "", rest)
        if rest != stem and re.search(r"[^\W\d_]", origin):
            return Label(class_name, origin)
    return None


def score(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Right answers and recordings of each origin, in alphabetical order."""
    right = Counter(row.label.origin for row in rows if row.is_right)
    every = Counter(row.label.origin for row in rows)
    return {origin: (right[origin], every[origin]) for origin in sorted(every)}


def table(rows: Sequence[Row]) -> list[str]:
    """Table 2 and the counts per origin, as lines of text.

    Args:
        rows: At least one.
    """
    cells = [("file", "origin", "correct class", "classified as", "")]
    cells += [
        (
            PurePath(row.name).name,
            row.label.origin,
            row.label.class_name,
            row.answer,
            "" if row.is_right else "✗",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    lines += [
        f"{origin}: {right} of {every} right"
        for origin, (right, every) in score(rows).items()
    ]
    return [line.rstrip() for line in lines]
