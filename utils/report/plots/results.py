"""Pictures of a run: confusion, learning curves, recall, test accuracy by epoch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from utils.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    new_figure,
    styled,
)

History = Mapping[str, Sequence[float]]  # curves by name
DARK_CELL = 0.55  # of the darkest; text on darker cells is white
CELL_IN = 0.72


@styled()
def confusion_figure(
    counts: npt.ArrayLike, classes: Sequence[str], *, is_normalised: bool
) -> Figure:
    """Draw a confusion matrix: counts, or shares of each row with the counts beneath.

    Args:
        counts: (classes, classes), rows true, columns predicted.
        classes: Names, in the order of the rows.
        is_normalised: Cells show and are shaded by the share of their row.

    Returns:
        A figure; the row of a class without utterances is empty.
    """
    side_in = CELL_IN * len(classes)
    figure, [axes] = new_figure(side_in + 2.2, side_in + 1.9)
    _draw_confusion(axes, counts, classes, is_normalised=is_normalised)
    axes.set_title("Share of each true class" if is_normalised else "Utterances")
    return figure


class ConfusionPanel(NamedTuple):
    """One of several confusion matrices.

    Attributes:
        title: What was run.
        classes: Names, in the order of the rows.
        counts: (classes, classes), rows true, columns predicted.
    """

    title: str
    classes: Sequence[str]
    counts: npt.ArrayLike


@styled()
def confusions_figure(panels: Sequence[ConfusionPanel]) -> Figure:
    """Draw confusion matrices, two per row, as shares of each true class.

    Args:
        panels: In reading order.

    Returns:
        A figure with one set of axes per panel.
    """
    side_in = CELL_IN * max(len(panel.classes) for panel in panels)
    rows = -(-len(panels) // 2)
    figure, axes = new_figure(
        2 * (side_in + 2.2), rows * (side_in + 1.9), nrows=rows, ncols=2
    )
    for part, panel in zip(axes, panels, strict=False):
        _draw_confusion(part, panel.counts, panel.classes, is_normalised=True)
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
    names = [name.replace("_", " ") for name in classes]
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
            epoch `validation_loss`, `validation_accuracy`; each one value per epoch.
        kept: By fold, the epoch that was kept (0-based).
        chosen_on: `test`, `validation` or `none`.

    Returns:
        A figure of three panels; a dot marks each fold's kept epoch.
    """
    figure, axes = new_figure(12.0, 4.0, ncols=3)
    chooser = f"{chosen_on} set, which chose the epoch"
    for panel, name in zip(axes, ("loss", "accuracy"), strict=False):
        _draw_folds(panel, _curves(histories, name), BLUE, "training")
        chosen = _curves(histories, f"validation_{name}")
        _draw_folds(panel, chosen, RED, chooser)
        _mark_kept(panel, chosen or _curves(histories, name), kept)
        panel.set_title(name.capitalize())
        _epochs_below(panel, _curves(histories, name).values())
    rates = _curves(histories, "learning_rate")
    _draw_folds(axes[2], rates, BLUE, "learning rate")
    axes[2].set_title("Learning rate")
    _epochs_below(axes[2], rates.values())
    axes[0].set_ylim(bottom=0.0)
    axes[1].set_ylim(top=1.02)
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[2].set_ylim(bottom=0.0)
    axes[2].yaxis.set_major_formatter("{x:g}")
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
        panels: Side by side.

    Returns:
        A figure with one set of axes per panel.
    """
    longest = max(len(panel.rows) for panel in panels)
    height_in = 1.8 + 0.34 * longest
    figure, axes = new_figure(5.2 * len(panels), height_in, ncols=len(panels))
    for panel, (title, unit, rows) in zip(axes, panels, strict=True):
        for position, (_, _, score) in enumerate(rows):
            estimate = score["value"]
            panel.plot(
                [score["low"], score["high"]], [position] * 2, color=BLUE, linewidth=2.0
            )
            panel.plot(estimate, position, "o", color=BLUE, markersize=6.5)
            panel.annotate(
                f"{100 * estimate:.1f}",
                (estimate, position),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                size=8,
            )
        labels = [f"{name.replace('_', ' ')} ({count})" for name, count, _ in rows]
        panel.set_yticks(range(len(rows)), labels)
        panel.set(title=title, xlim=(0.0, 1.02), ylim=(len(rows) - 0.4, -0.7))
        panel.set_xlabel(f"recall, and its 95 % interval over {unit}s")
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
        panel.grid(visible=False, axis="y")
    return figure


@styled()
def accuracy_by_epoch_figure(
    curves: Mapping[int, Sequence[float]], kept: Mapping[int, int], *, chosen_on: str
) -> Figure:
    """Draw how optimistic it is to choose the epoch on the test fold.

    Args:
        curves: By fold, the test fold's accuracy after each epoch.
        kept: By fold, the epoch that was kept (0-based).
        chosen_on: `test`, `validation` or `none`.

    Returns:
        A figure: accuracy by epoch, and the last and best epoch of each fold.
    """
    figure, axes = new_figure(12.0, 4.2, ncols=2, sharey=True, width_ratios=(1.6, 1.0))
    _draw_folds(axes[0], curves, BLUE, "test accuracy")
    _mark_kept(axes[0], curves, kept)
    chooser = {"none": "nothing"}.get(chosen_on, f"the {chosen_on} set")
    axes[0].set_title(f"Test accuracy by epoch ({chooser} chose the epoch)")
    _epochs_below(axes[0], curves.values())
    folds = sorted(curves)
    last = np.array([curves[fold][-1] for fold in folds])
    best = np.array([max(curves[fold]) for fold in folds])
    kept_values = np.array([curves[fold][kept[fold]] for fold in folds])
    places = range(len(folds))
    axes[1].vlines(places, last, best, color=GREY, linewidth=1.5)
    axes[1].plot(places, best, "^", color=RED, markersize=8, label="best on test")
    if chosen_on == "validation":
        axes[1].plot(places, kept_values, "o", color=GREEN, label="kept")
    axes[1].plot(places, last, "s", color=BLUE, label="last epoch")
    axes[1].set_xticks(places, [str(fold) for fold in folds])
    gain = 100 * float(np.mean(best - last))
    axes[1].set(
        xlabel="fold", title=f"Best minus last epoch: {gain:.1f} points on average"
    )
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside lower center", ncols=5)
    return figure


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
