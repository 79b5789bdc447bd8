"""One look for every picture; the same data give files with the same bytes.

Figures are made without pyplot, so there is no global state and nothing to close.
"""

import contextlib
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.files import write_atomic

# Okabe and Ito, "Color universal design", 2008: distinct to colour-blind readers.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the same on every machine
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # class and file names may contain a dollar sign
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,  # TrueType: text in the PDF can be searched and copied
    "svg.hashsalt": "light-sernet",  # otherwise the ids in an SVG are random
    "figure.dpi": 100.0,
    "savefig.dpi": 160.0,
    "savefig.facecolor": "white",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.12,
}
HEADING_SIZE = 10.0
LETTERS_PER_INCH = 12.5  # of the heading
LINE_IN = 0.17
UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Apply the look and ignore the user's matplotlibrc; a context or a decorator."""
    with matplotlib.style.context(["default", STYLE]):
        yield


def new_figure(
    width_in: float, height_in: float, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure and its axes, in reading order.

    Args:
        width_in: Width, inches.
        height_in: Height, inches.
        **subplots: As for `Figure.subplots`.
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots(squeeze=False, **subplots)
    return figure, list(axes.flat)


@styled()
def add_heading(figure: Figure, heading: Iterable[str]) -> None:
    """Write a heading above a figure, which grows by its height.

    Args:
        figure: From `new_figure`.
        heading: Paragraphs.
    """
    width = int(figure.get_figwidth() * LETTERS_PER_INCH)
    lines = [line for text in heading for line in textwrap.wrap(text, width)]
    figure.set_figheight(figure.get_figheight() + LINE_IN * len(lines))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", size=HEADING_SIZE)


def in_words(class_name: str) -> str:
    """A class as pictures spell it: `anxiety fear`."""
    return class_name.replace("_", " ")


def save(
    figure: Figure, path: Path, suffixes: Iterable[str] = ("pdf", "png")
) -> list[Path]:
    """Write a figure in each format, atomically and without a date.

    Args:
        figure: Made inside `styled()`.
        path: Target without suffix.
        suffixes: `pdf`, `png` or `svg`, in upper or lower case.

    Returns:
        The files written.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    written = []
    for suffix in suffixes:

        def write(file: BinaryIO, suffix: str = suffix) -> None:
            kind = suffix.lower()
            figure.savefig(file, format=kind, metadata=UNDATED.get(kind))

        target = path.with_name(f"{path.name}.{suffix}")
        with styled():
            write_atomic(target, write)
        written.append(target)
    return written
