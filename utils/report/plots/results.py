"""Pictures of a run: confusion matrices, learning curves, recalls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from utils.pictures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    in_words,
    new_figure,
    styled,
)

History = Mapping[str, Sequence[float]]  # curves by name
DARK_CELL = 0.55  # of the darkest; text on darker cells is white
CELL_IN = 0.72
ROW_IN = 0.34  # of the recall figure
MOST_ROWS = 32  # of one column


class ConfusionPanel(NamedTuple):
    """One confusion matrix.

    Attributes:
        title: What was run.
        classes: Names, in the order of the rows.
        counts: (classes, classes), rows true, columns predicted.
    """

    title: str
    classes: Sequence[str]
    counts: npt.ArrayLike


@styled()
def confusion_figure(
    panels: Sequence[ConfusionPanel], *, is_normalised: bool = True
) -> Figure:
    """Draw confusion matrices, two per row.

    Args:
        panels: In reading order.
        is_normalised: Cells show and are shaded by the share of their row, with the
            counts beneath; False: by the counts alone.

    Returns:
        A figure with one set of axes per panel; the row of a class without utterances
        is empty.
    """
    side_in = CELL_IN * max(len(panel.classes) for panel in panels)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(
        columns * (side_in + 2.2), rows * (side_in + 1.9), nrows=rows, ncols=columns
    )
    for part, panel in zip(axes, panels, strict=False):
        _draw_confusion(part, panel.counts, panel.classes, is_normalised=is_normalised)
        part.set_title(panel.title)
    for empty in axes[len(panels) :]:
        empty.remove()
    return figure


def _draw_confusion(
    axes: Axes, counts: npt.ArrayLike, classes: Sequence[str], *, is_normalised: bool
) -> None:
    """Draw shaded cells with counts, or with shares of the row above the counts."""
    table = np.asarray(counts, dtype=np.int64)
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(
        table, totals, out=np.zeros(table.shape), where=totals > 0, dtype=np.float64
    )
    shades = shares if is_normalised else table / max(1, table.max())
    axes.imshow(shades, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*table.shape):
        count, colour = table[row, column], "white"
        if shades[row, column] < DARK_CELL:
            colour = INK if count else GREY
        text = f"{count:,}"
        if is_normalised:
            text = f"{shares[row, column]:.3f}\n({count:,})" if count else "0"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    names = list(map(in_words, classes))
    rows = [f"{name} ({n:,})" for name, n in zip(names, totals.flat, strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_yticks(range(len(names)), rows)
    axes.set(xlabel="predicted class", ylabel="true class (utterances)")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


@styled()
def curves_figure(
    histories: Mapping[int, History], kept: Mapping[int, int], *, chosen_on: str
) -> Figure:
    """Draw loss, accuracy and learning rate by epoch: each fold thin, the median thick.

    Args:
        histories: By fold: `loss`, `accuracy`, `learning_rate`, and if a set chose the
            epoch `validation_loss`, `validation_accuracy`; `test_accuracy` if it was
            recorded; each one value per epoch.
        kept: By fold, the epoch that was kept (0-based).
        chosen_on: `test`, `validation` or `none`.

    Returns:
        A figure of three panels, or of two if no fold recorded its learning rate; a dot
        marks each fold's kept epoch.
    """
    rates = _curves(histories, "learning_rate")
    columns = 3 if rates else 2
    figure, axes = new_figure(4.0 * columns, 4.0, ncols=columns)
    chooser = f"{chosen_on} set, which chose the epoch"
    for panel, name in zip(axes, ("loss", "accuracy"), strict=False):
        _draw_folds(panel, _curves(histories, name), BLUE, "training")
        chosen = _curves(histories, f"validation_{name}")
        _draw_folds(panel, chosen, RED, chooser)
        tested = _curves(histories, f"test_{name}")
        _draw_folds(panel, tested, GREEN, "test set, which chose nothing")
        _mark_kept(panel, chosen or _curves(histories, name), kept)
        panel.set_title(name.capitalize())
        _epochs_below(panel, _curves(histories, name).values())
    if rates:
        _draw_folds(axes[2], rates, BLUE, "learning rate")
        axes[2].set(title="Learning rate", ylim=(0.0, None))
        axes[2].yaxis.set_major_formatter("{x:g}")
        _epochs_below(axes[2], rates.values())
    axes[0].set_ylim(bottom=0.0)
    axes[1].set_ylim(top=1.02)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


class RecallPanel(NamedTuple):
    """One group of the recall figure.

    Attributes:
        title: Heading of the panel.
        unit: The unit of the intervals: `speaker` or `utterance`.
        rows: Name, utterances, and a score with `value`, `low` and `high`.
    """

    title: str
    unit: str
    rows: Sequence[tuple[str, int, Mapping[str, Any]]]


@styled()
def recall_figure(panels: Sequence[RecallPanel]) -> Figure:
    """Draw recalls as dots with their 95 % intervals as lines.

    Args:
        panels: Side by side; long ones continue in further columns.

    Returns:
        A figure with one set of axes per panel or column.
    """
    columns = [column for panel in panels for column in _columns(panel)]
    longest = max(len(column.rows) for column in columns)
    width_in = 5.2 if len(columns) == len(panels) else 4.2
    height_in = 1.8 + ROW_IN * longest
    figure, axes = new_figure(width_in * len(columns), height_in, ncols=len(columns))
    for part, column in zip(axes, columns, strict=True):
        _draw_recalls(part, column)
        if 2 * len(column.rows) < longest:  # rows would lie far apart
            part.set_box_aspect(ROW_IN * (len(column.rows) + 1) / (0.7 * width_in))
            part.set_anchor("NW")
    return figure


def _columns(panel: RecallPanel) -> list[RecallPanel]:
    """The panel; in equal columns if it has too many rows for one."""
    count = -(-len(panel.rows) // MOST_ROWS)
    size = -(-len(panel.rows) // count)
    return [
        RecallPanel(panel.title if not start else "continued", panel.unit, rows)
        for start in range(0, len(panel.rows), size)
        for rows in [panel.rows[start : start + size]]
    ]


def _draw_recalls(axes: Axes, panel: RecallPanel) -> None:
    """Draw one row per class or speaker."""
    for position, (_, _, score) in enumerate(panel.rows):
        estimate = score["value"]
        axes.plot(
            [score["low"], score["high"]], [position] * 2, color=BLUE, linewidth=2.0
        )
        axes.plot(estimate, position, "o", color=BLUE, markersize=6.5)
        axes.annotate(
            f"{100 * estimate:.1f}",
            (estimate, position),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            size=8,
        )
    labels = [f"{in_words(name)} ({count})" for name, count, _ in panel.rows]
    axes.set_yticks(range(len(labels)), labels)
    axes.set(title=panel.title, xlim=(0.0, 1.02), ylim=(len(labels) - 0.4, -0.7))
    axes.set_xlabel(f"recall, and its 95 % interval over {panel.unit}s")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(visible=False, axis="y")


def _curves(histories: Mapping[int, History], name: str) -> dict[int, Sequence[float]]:
    """One curve of the folds that recorded it."""
    return {fold: h[name] for fold, h in sorted(histories.items()) if h.get(name)}


def _draw_folds(
    axes: Axes, curves: Mapping[int, Sequence[float]], colour: str, label: str
) -> None:
    """Draw a thin line per fold and a thick median; a single epoch is a dot."""
    if not curves:
        return
    marker = "o" if max(len(curve) for curve in curves.values()) == 1 else ""
    if len(curves) > 1:
        label = f"{label}, median of folds"
        for curve in curves.values():
            axes.plot(curve, color=colour, alpha=0.35, linewidth=0.8, marker=marker)
    middle = np.median(_equally_long(curves.values()), axis=0)
    axes.plot(middle, color=colour, linewidth=2.0, marker=marker, label=label)


def _equally_long(curves: Iterable[Sequence[float]]) -> npt.NDArray[np.float64]:
    """(folds, epochs) up to the last epoch of the shortest fold."""
    rows = list(curves)
    return np.array([row[: min(map(len, rows))] for row in rows], dtype=np.float64)


def _mark_kept(
    axes: Axes, curves: Mapping[int, Sequence[float]], kept: Mapping[int, int]
) -> None:
    """Draw a dot at the kept epoch of each fold."""
    folds = [fold for fold in curves if fold in kept]
    axes.scatter(
        [kept[fold] for fold in folds],
        [curves[fold][kept[fold]] for fold in folds],
        s=26,
        facecolor=ORANGE,
        edgecolor=INK,
        linewidth=0.6,
        zorder=3,
        label="kept epoch of each fold",
    )


def _epochs_below(axes: Axes, curves: Iterable[Sequence[float]]) -> None:
    """Label the horizontal axis of a learning curve."""
    axes.set_xlabel("epoch (from 0)")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    longest = max((len(curve) for curve in curves), default=1)
    margin = max(0.5, 0.02 * longest)
    axes.set_xlim(-margin, longest - 1 + margin)
