"""A timeline: the waveform above, the probability of each class below."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.inference.classify import Answer, Span
from utils.pictures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    RED,
    new_figure,
    styled,
)

# The eight colours of Okabe and Ito, those of `style` first
COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", INK, "#F0E442")
ENVELOPE_STEPS = 2000  # more than a figure has pixels


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
    """Draw the waveform and the probability of each class over time.

    Args:
        answer: Answer with its spans.
        classes: Class names of the model.
        extremes: (steps, 2), as from `envelope`.

    Returns:
        A figure of two panels. The probabilities of a window are drawn at its middle;
        windows without speech are grey.
    """
    figure, (top, bottom) = new_figure(
        10.0, 5.6, nrows=2, sharex=True, height_ratios=[1, 1.6]
    )
    time_s = (np.arange(len(extremes)) + 0.5) * answer.duration_s / len(extremes)
    top.fill_between(time_s, extremes[:, 0], extremes[:, 1], color=BLUE, linewidth=0.3)
    top.set(title=answer.name, ylabel="amplitude", xlim=(0.0, answer.duration_s))
    _draw_probabilities(bottom, answer.spans, classes)
    bottom.set_xlabel("time, s")
    figure.align_ylabels([top, bottom])
    return figure


def _draw_probabilities(
    axes: Axes, spans: Sequence[Span], classes: Sequence[str]
) -> None:
    """Draw one line per class, interrupted at windows without speech."""
    middles_s = np.array([(span.start_s + span.end_s) / 2 for span in spans])
    shares = np.array(
        [
            s.probabilities if s.is_speech else np.full(len(classes), np.nan)
            for s in spans
        ]
    )
    marker = "." if len(spans) < 100 else None
    looks = itertools.product(("-", "--", ":"), COLOURS)
    for name, column, (line, colour) in zip(classes, shares.T, looks, strict=False):
        axes.plot(middles_s, column, line, label=name, color=colour, marker=marker)
    half_s = (middles_s[1] - middles_s[0]) / 2 if len(spans) > 1 else np.inf
    for span, middle_s in zip(spans, middles_s, strict=True):
        if not span.is_speech:
            low_s = max(span.start_s, middle_s - half_s)
            high_s = min(span.end_s, middle_s + half_s)
            axes.axvspan(low_s, high_s, color=PALE, linewidth=0)
    axes.set(ylabel="probability", ylim=(0.0, 1.02))
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        title="grey: no speech",
        title_fontproperties={"size": 8},
    )
