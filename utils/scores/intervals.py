"""95 % intervals for scores whose errors come in clusters, one cluster a speaker.

The headline interval is a delete-one-speaker jackknife: its standard error is carried
to the logit scale by the delta method and multiplied by Student's t with (speakers - 1)
degrees of freedom, as survey statistics does for proportions (Korn and Graubard 1998);
so it stays within 0..1 and holds its coverage at ten speakers where percentile
bootstraps do not (`python -m benchmarks.interval_coverage` measures that). Where the
protocol holds speakers out it covers other speakers like these; nowhere does it cover
another training of the network: seeds show that.

Everything works on counts: (units, classes, classes), the confusion matrix of each
speaker or utterance; leading dimensions are independent data sets.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, expit, logit, stdtrit

from utils.runs.records import Rows

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
NUM_RESAMPLES = 2000
RESAMPLES_AT_ONCE = 100
ROUNDING = 1e-9  # an error below it is none: one utterance in 100,000 counts more
FloatArray = npt.NDArray[np.floating]
Figures = Callable[[npt.NDArray[Any]], FloatArray]  # (..., c, c) -> (..., figures)
Limits = tuple[FloatArray, FloatArray]


def unit_of(rows: Rows) -> str:
    """What is drawn at random: `speaker`; `utterance` where fewer than two are known.

    Args:
        rows: The scored utterances.
    """
    several = rows.has_speakers and len(set(rows.speakers)) > 1
    return "speaker" if several else "utterance"


def unit_counts(rows: Rows, unit: str) -> npt.NDArray[np.int64]:
    """Confusion matrix of each speaker or utterance.

    Args:
        rows: The scored utterances; rows of one utterance belong together.
        unit: `speaker` or `utterance`.

    Returns:
        (units, classes, classes), rows true, columns predicted.
    """
    names = rows.speakers if unit == "speaker" else rows.utterance_ids
    found, index = np.unique(names.astype(str), return_inverse=True)
    counts = np.zeros((len(found), rows.num_classes, rows.num_classes), np.int64)
    np.add.at(counts, (index, rows.true, rows.predicted), 1)
    return counts


def jackknife_error(counts: npt.NDArray[Any], figures: Figures) -> FloatArray:
    """Standard error from leaving each unit out once.

    Args:
        counts: (..., units, classes, classes), two units or more.
        figures: From confusion matrices to figures.

    Returns:
        (..., figures).
    """
    units = counts.shape[-3]
    without = figures(counts.sum(axis=-3, keepdims=True) - counts)
    deviations = without - without.mean(axis=-2, keepdims=True)
    return np.sqrt((units - 1) / units * (deviations**2).sum(axis=-2))


def jackknife(counts: npt.NDArray[Any], figures: Figures) -> Limits:
    """The plain jackknife with t: value ± t · error, clipped to 0..1.

    Args:
        counts: (..., units, classes, classes), two units or more.
        figures: From confusion matrices to figures.

    Returns:
        Lower and upper limits, each (..., figures).
    """
    value = figures(counts.sum(axis=-3))
    reach = stdtrit(counts.shape[-3] - 1, 1 - TAIL) * jackknife_error(counts, figures)
    return np.clip(value - reach, 0, 1), np.clip(value + reach, 0, 1)


def logit_jackknife(counts: npt.NDArray[Any], figures: Figures) -> Limits:
    """The headline: the jackknife's error on the logit scale, with t.

    Where leaving out any unit changes nothing there is no error to estimate: the
    figure is 0 or 1, or a mean of class recalls that are each 0 or 1. A width of zero
    would be a lie; the limits are then the exact binomial ones of so many units.
    One unit alone that has both right and wrong answers bounds nothing: 0..1.

    Args:
        counts: (..., units, classes, classes).
        figures: From confusion matrices to figures within 0..1.

    Returns:
        Lower and upper limits, each (..., figures).
    """
    units = counts.shape[-3]
    value = figures(counts.sum(axis=-3))
    low, high = np.zeros_like(value), np.ones_like(value)
    within = (value > 0) & (value < 1)
    varies = np.zeros_like(within)
    if units > 1:
        error = jackknife_error(counts, figures)
        varies = within & (error > ROUNDING)
        inner = value[varies]
        reach = stdtrit(units - 1, 1 - TAIL) * error[varies] / (inner * (1 - inner))
        low[varies] = expit(logit(inner) - reach)
        high[varies] = expit(logit(inner) + reach)
    exact = ~varies & ~(within & (units == 1))
    low[exact], high[exact] = exact_binomial(value[exact], units)
    return low, high


def exact_binomial(value: FloatArray, units: int) -> Limits:
    """Limits of Clopper and Pearson (1934) for a share of so many units.

    Args:
        value: Shares within 0..1; their count of successes need not be whole.
        units: Trials.

    Returns:
        Lower and upper limits, each of the shape of `value`.
    """
    right = np.clip(value * units, 0, units)
    wrong = units - right
    # The beta distribution has no parameter 0; the limit there is the end itself.
    low = betaincinv(np.maximum(right, ROUNDING), wrong + 1, TAIL)
    high = betaincinv(right + 1, np.maximum(wrong, ROUNDING), 1 - TAIL)
    return np.where(right > 0, low, 0.0), np.where(wrong > 0, high, 1.0)


def bootstrap(
    counts: npt.NDArray[Any],
    figures: Figures,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Limits:
    """Percentile bootstrap over units, for reference: too narrow at ten speakers.

    Args:
        counts: (..., units, classes, classes).
        figures: From confusion matrices to figures.
        num_resamples: Draws of as many units, with replacement.
        seed: Of the draws, which all data sets share.

    Returns:
        Lower and upper limits, each (..., figures).
    """
    units, num_classes = counts.shape[-3], counts.shape[-1]
    random = np.random.RandomState(seed)
    cells = counts.reshape(*counts.shape[:-2], num_classes**2).astype(np.float64)
    shares = np.full(units, 1 / units)
    # a part at a time: one row of draws is as long as there are units
    sizes = np.diff([*range(0, num_resamples, RESAMPLES_AT_ONCE), num_resamples])
    parts = [
        random.multinomial(units, shares, size).astype(np.float64) @ cells
        for size in sizes
    ]
    drawn = np.concatenate(parts, axis=-2)  # (..., num_resamples, classes ** 2)
    values = figures(drawn.reshape(*drawn.shape[:-1], num_classes, num_classes))
    low, high = np.quantile(values, [TAIL, 1 - TAIL], axis=-2)
    return low, high


def headline_intervals(rows: Rows, figures: Figures) -> list[dict[str, Any]]:
    """Value, limits, method and unit of each figure, ready for JSON.

    Args:
        rows: At least one scored utterance.
        figures: From confusion matrices to figures within 0..1.

    Returns:
        `{"value", "low", "high", "method", "unit", "units"}` of each figure.
    """
    unit = unit_of(rows)
    counts = unit_counts(rows, unit)
    values = figures(counts.sum(axis=0))
    lows, highs = logit_jackknife(counts, figures)
    errors = np.zeros_like(values)
    if len(counts) > 1:
        errors = jackknife_error(counts, figures)
    return [
        {
            "value": float(value),
            "low": float(low),
            "high": float(high),
            "method": _method(float(value), float(error), unit, len(counts)),
            "unit": unit,
            "units": len(counts),
        }
        for value, error, low, high in zip(values, errors, lows, highs, strict=True)
    ]


def interval_text(figure: Mapping[str, Any]) -> str:
    """`77.61 [73.02, 81.64]`, in percent.

    Args:
        figure: `value`, `low` and `high`, as from `headline_intervals`.
    """
    value, low, high = (100 * figure[name] for name in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _method(value: float, error: float, unit: str, units: int) -> str:
    """What `logit_jackknife` did, in words."""
    if value in (0.0, 1.0):
        return f"exact binomial over {unit}s, all alike"
    if units < 2:
        return f"none: one {unit} alone"
    if error > ROUNDING:
        return f"delete-one-{unit} jackknife, logit scale, t({units - 1})"
    return f"exact binomial over {unit}s: leaving any one out changes nothing"


def reference_intervals(rows: Rows, figures: Figures) -> list[dict[str, Any]]:
    """Percentile bootstraps over speakers, where known, and over utterances.

    Args:
        rows: At least one scored utterance.
        figures: From confusion matrices to figures.

    Returns:
        One `{"method", "unit", "units", "low": [...], "high": [...]}` a unit.
    """
    intervals = []
    for unit in dict.fromkeys((unit_of(rows), "utterance")):
        counts = unit_counts(rows, unit)
        low, high = bootstrap(counts, figures)
        intervals.append(
            {
                "method": f"percentile bootstrap over {unit}s, for reference",
                "unit": unit,
                "units": len(counts),
                "low": low.tolist(),
                "high": high.tolist(),
            }
        )
    return intervals
