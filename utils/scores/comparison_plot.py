"""A picture of compared runs: scores and recalls with their intervals, side by side."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hyperparameters import InputError
from utils.pictures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    add_heading,
    in_words,
    new_figure,
    save,
    styled,
)

COLOURS = (BLUE, ORANGE, GREEN, RED, GREY, INK)  # of more runs, they repeat
MARKERS = "os^Dvp"
FORMATS = ("png", "pdf", "svg")
LEGEND_LETTERS = 130  # per line
BAND = 0.7  # of the height of a row, for its runs
Scores = Mapping[str, Mapping[str, Any] | None]


def save_comparison(
    path: Path,
    heading: Sequence[str],
    texts: Sequence[str],
    scores: Sequence[Scores],
    recalls: Sequence[Scores],
) -> None:
    """Write the picture of a comparison.

    Args:
        path: Its suffix is the format: png, pdf or svg.
        heading: What was tested, and the audits' verdicts.
        texts: What is said of each run.
        scores: Of each run.
        recalls: Of each run, by class.

    Raises:
        InputError: Another suffix.
        OSError: The file cannot be written.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise InputError(f"--plot must end in .{', .'.join(FORMATS)}, got {path}")
    figure = comparison_figure(texts, {"Scores": scores, "Recall by class": recalls})
    add_heading(figure, heading)
    [written] = save(figure, path.with_suffix(""), [suffix])
    written.replace(path)  # `.PNG` stays as typed


@styled()
def comparison_figure(
    texts: Sequence[str], panels: Mapping[str, Sequence[Scores]]
) -> Figure:
    """Draw scores as dots with their intervals as lines, one colour per run.

    Args:
        texts: What the legend says of each run.
        panels: By title: of each run the scores by name, from `headline_intervals`;
            None is a score that the run does not have.
    """
    legend = ["\n".join(textwrap.wrap(text, LEGEND_LETTERS)) for text in texts]
    rows = max(len(run) for runs in panels.values() for run in runs)
    height_in = 1.4 + rows * (0.2 + 0.16 * len(texts))
    height_in += 0.17 * "\n".join([*legend, ""]).count("\n")
    figure, axes = new_figure(5.6 * len(panels), height_in, ncols=len(panels))
    for panel, (title, runs) in zip(axes, panels.items(), strict=True):
        names = list(dict.fromkeys(name for run in runs for name in run))
        for number, run in enumerate(runs):
            shift = BAND * ((number + 0.5) / len(runs) - 0.5)
            _draw_run(panel, [run.get(name) for name in names], shift, number)
        panel.set_yticks(range(len(names)), list(map(in_words, names)))
        panel.set(title=title, xlim=(0.0, 1.02), ylim=(len(names) - 0.5, -0.5))
        panel.set_xlabel("score, and its 95 % interval")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.grid(visible=False, axis="y")
        for edge in range(1, len(names)):
            panel.axhline(edge - 0.5, color=GREY, linewidth=0.4)
    handles: list[Any] = axes[0].containers
    figure.legend(handles, legend, loc="outside lower left")
    return figure


def _draw_run(
    panel: Axes,
    scores: Sequence[Mapping[str, Any] | None],
    shift: float,
    number: int,
) -> None:
    """Draw the scores of one run, each a little below or above its row."""
    colour = COLOURS[number % len(COLOURS)]
    marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
    known = [(row + shift, score) for row, score in enumerate(scores) if score]
    reach = [
        [score["value"] - score["low"] for _, score in known],
        [score["high"] - score["value"] for _, score in known],
    ]
    panel.errorbar(
        [score["value"] for _, score in known],
        [height for height, _ in known],
        xerr=reach,
        fmt=marker,
        markersize=5.5,
        color=colour,
        elinewidth=2.0,
    )
