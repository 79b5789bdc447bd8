"""A timeline: the waveform, a ribbon of classes, and their probabilities over time."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from utils.inference.answers import class_of
from utils.inference.classify import Answer
from utils.inference.timeline import NO_SPEECH, clock, edges_of
from utils.pictures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    in_words,
    new_figure,
    styled,
)

FloatArray = npt.NDArray[np.floating]

# The eight colours of Okabe and Ito, those of `style` first
COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", INK, "#F0E442")
ENVELOPE_STEPS = 2000  # more than a figure has pixels
MOST_COLUMNS = 600  # neighbouring windows of longer timelines are averaged
LONG_S = 60.0  # longer recordings get a heat map; lines would be a tangle
MOST_TICKS = 10
TICK_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14_400, 21_600, 43_200, 86_400),
)


class Columns(NamedTuple):
    """The windows as columns of a picture.

    Attributes:
        edges_s: (columns + 1,), s.
        middles_s: (columns,), s: of the windows.
        shares: (columns, classes); NaN if there is no speech.
    """

    edges_s: FloatArray
    middles_s: FloatArray
    shares: FloatArray

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """(columns,): the most probable class; -1 if there is no speech."""
        filled = np.nan_to_num(self.shares, nan=0.0)
        is_speech = ~np.isnan(self.shares[:, 0])
        return np.where(is_speech, filled.argmax(axis=1), -1)


def envelope(
    blocks: Iterable[npt.NDArray[np.floating]], samples: int
) -> npt.NDArray[np.float64]:
    """Lowest and highest sample of each of 2000 steps, in constant memory.

    Args:
        blocks: Consecutive samples, (samples,) each.
        samples: Number of samples in all blocks.

    Returns:
        (steps, 2); fewer steps if there are fewer samples.
    """
    steps = min(ENVELOPE_STEPS, samples)
    extremes = np.zeros((steps, 2))
    position = 0
    for block in blocks:
        step = (position + np.arange(len(block))) * steps // samples
        np.minimum.at(extremes[:, 0], step, block)
        np.maximum.at(extremes[:, 1], step, block)
        position += len(block)
    return extremes


@styled()
def timeline_figure(
    answer: Answer, classes: Sequence[str], extremes: npt.NDArray[np.float64]
) -> Figure:
    """Draw waveform, classes and probabilities over time.

    Args:
        answer: Answer with its spans.
        classes: Class names of the model.
        extremes: (steps, 2), as from `envelope`.

    Returns:
        A figure of three panels. The lowest has a line per class, or a heat map if the
        recording lasts longer than a minute.
    """
    is_long = answer.duration_s > LONG_S
    columns = _columns(answer)
    figure, (top, ribbon, bottom) = new_figure(
        10.0, 6.0, nrows=3, sharex=True, height_ratios=[1, 0.22, 1.8]
    )
    predicted = in_words(class_of(answer.probabilities, classes))
    time_s = (np.arange(len(extremes)) + 0.5) * answer.duration_s / len(extremes)
    top.fill_between(time_s, extremes[:, 0], extremes[:, 1], color=GREY, linewidth=0.3)
    top.set(title=f"{PurePath(answer.name).name}: {predicted}", ylabel="amplitude")
    colours = _colours(len(classes))
    _draw_ribbon(ribbon, columns, colours)
    draw = _draw_heat_map if is_long else _draw_lines
    draw(bottom, columns, classes, colours)
    _name_classes(top if is_long else bottom, columns, classes, colours)
    _set_time_axis(bottom, answer.duration_s)
    return figure


def _columns(answer: Answer) -> Columns:
    """The windows, at most `MOST_COLUMNS`: neighbours are averaged."""
    edges_s, spans = edges_of(answer), answer.spans
    shares = np.array([s.probabilities for s in spans], np.float64)
    is_speech = np.array([s.is_speech for s in spans])
    count = min(len(spans), MOST_COLUMNS)
    firsts = np.arange(count) * len(spans) // count
    speech = np.add.reduceat(is_speech, firsts, dtype=np.float64)[:, None]
    total = np.add.reduceat(np.where(is_speech[:, None], shares, 0.0), firsts)
    means = np.divide(total, speech, out=np.full_like(total, np.nan), where=speech > 0)
    middles_s = np.array([(s.start_s + s.end_s) / 2 for s in spans])
    windows = np.diff(firsts, append=len(spans))
    return Columns(
        edges_s=np.append(edges_s[firsts], edges_s[-1]),
        middles_s=np.add.reduceat(middles_s, firsts) / windows,
        shares=means,
    )


def _colours(num_classes: int) -> list[str]:
    """A colour per class."""
    if num_classes <= len(COLOURS):
        return list(COLOURS[:num_classes])
    more = map(to_hex, colormaps["tab20"](range(20)))
    return list(itertools.islice(itertools.cycle(more), num_classes))


def _draw_ribbon(axes: Axes, columns: Columns, colours: Sequence[str]) -> None:
    """The most probable class of each column as a band of colour; pale: no speech."""
    axes.pcolormesh(
        columns.edges_s,
        [0.0, 1.0],
        columns.best[None] + 1,
        cmap=ListedColormap([PALE, *colours]),
        vmin=-0.5,
        vmax=len(colours) + 0.5,
        rasterized=True,
    )
    axes.set(yticks=[])
    axes.set_ylabel("class", rotation=0, ha="right", va="center")
    axes.grid(visible=False)


def _draw_heat_map(
    axes: Axes, columns: Columns, classes: Sequence[str], colours: Sequence[str]
) -> None:
    """A row per class; the darker, the more probable."""
    shares = np.ma.masked_invalid(columns.shares.T)
    rows = np.arange(len(classes) + 1) - 0.5
    axes.set_facecolor(PALE)
    mesh = axes.pcolormesh(
        *(columns.edges_s, rows, shares),
        cmap="Blues",
        vmin=0.0,
        vmax=1.0,
        rasterized=True,
    )
    names = list(map(in_words, classes))
    axes.set(yticks=range(len(classes)), yticklabels=names)
    axes.invert_yaxis()
    axes.grid(visible=False)
    bar = axes.inset_axes((1.015, 0.0, 0.018, 1.0))
    axes.figure.colorbar(mesh, cax=bar, label="probability")


def _draw_lines(
    axes: Axes, columns: Columns, classes: Sequence[str], colours: Sequence[str]
) -> None:
    """A line per class through the middles, interrupted if there is no speech."""
    marker = "." if len(columns.shares) < 100 else None
    rows = zip(classes, columns.shares.T, colours, strict=True)
    for name, row, colour in rows:
        axes.plot(columns.middles_s, row, label=name, color=colour, marker=marker)
    axes.set(ylabel="probability", ylim=(0.0, 1.02))


def _name_classes(
    axes: Axes, columns: Columns, classes: Sequence[str], colours: Sequence[str]
) -> None:
    """A legend of the classes that are drawn."""
    shown = set(columns.best.tolist())
    pairs = zip(classes, colours, strict=True)
    drawn = [
        Patch(color=colour, label=in_words(name))
        for number, (name, colour) in enumerate(pairs)
        if axes.lines or number in shown
    ]
    if -1 in shown:
        drawn.append(Patch(color=PALE, label=NO_SPEECH))
    axes.legend(
        handles=drawn,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.03),
        fontsize=9,
        labelspacing=0.35,
        handlelength=1.2,
    )


def _set_time_axis(axes: Axes, duration_s: float) -> None:
    """Seconds; minutes and seconds if the recording is longer than a minute."""
    steps = (step for step in TICK_STEPS_S if duration_s / step <= MOST_TICKS)
    axes.set(xlim=(0.0, duration_s), xlabel="time, s")
    if duration_s > LONG_S:
        axes.xaxis.set_major_locator(MultipleLocator(next(steps, TICK_STEPS_S[-1])))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: clock(value).removesuffix(".0"))
        )
        axes.set_xlabel("time, min:s" if duration_s < 3600 else "time, h:min:s")
