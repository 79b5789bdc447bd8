"""How often 95 % intervals contain the truth, at ten speakers: a simulation.

    python -m benchmarks.interval_coverage [--datasets 4000] [--csv FILE]

Each simulated data set has EMO-DB's own number of utterances of each speaker and class.
A speaker, and a speaker's way with one class, makes right answers more or less likely
(normal effects on the logit scale), so the errors of one speaker are correlated; a
wrong answer falls on another class as often as in the published confusion matrix. The
truth is the figure over all speakers that could have been drawn.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from utils.cli import Parser, run_main
from utils.files import write_atomic
from utils.scores.intervals import TAIL, Limits, bootstrap, jackknife, logit_jackknife
from utils.scores.metrics import SCORES, scores_of
from utils.tables import csv_text, markdown_row, markdown_table

FloatArray = npt.NDArray[np.floating]

# Utterances of each speaker (03, 08, ..., 16) and class, from EMO-DB's file names.
# boredom, sadness, happiness, anxiety_fear, disgust, neutral, anger
EMO_DB_COUNTS = np.array(
    [
        [5, 7, 7, 4, 1, 11, 14],
        [10, 9, 11, 6, 0, 10, 12],
        [4, 4, 4, 1, 8, 9, 13],
        [8, 3, 4, 8, 1, 4, 10],
        [8, 7, 8, 10, 2, 9, 11],
        [5, 4, 2, 6, 2, 4, 12],
        [10, 5, 10, 7, 8, 9, 12],
        [8, 10, 8, 12, 8, 7, 16],
        [9, 4, 6, 8, 5, 11, 13],
        [14, 9, 11, 7, 11, 5, 14],
    ]
)
NUM_SPEAKERS, NUM_CLASSES = EMO_DB_COUNTS.shape
# Errors of the paper's cross-entropy matrix (1070 rows), plus one half: none is never.
WRONG_ANSWERS = 0.5 + np.array(
    [
        [0, 4, 0, 0, 0, 9, 0],
        [2, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 11, 0, 5, 11],
        [0, 0, 4, 0, 0, 1, 0],
        [1, 3, 0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 6, 2, 0, 0, 0],
    ]
)
# Some classes are harder: shift of each class's logit, in the order above.
CLASS_SHIFTS = np.array([0.0, 0.6, -0.8, -0.4, -0.2, 0.3, 0.5])
LEVELS = (0.6, 0.7, 0.8, 0.9, 0.95)  # mean recall
# Standard deviations of the logit: between speakers, between a speaker's classes.
EFFECTS = ((0, 0), (0.3, 0), (0.6, 0), (1, 0), (0, 0.5), (0.3, 0.5), (0.6, 1), (1, 1))
SPEAKER_LIMITS: dict[str, Callable[..., Limits]] = {
    "logit jackknife t (headline)": logit_jackknife,
    "jackknife t": jackknife,
    "bootstrap over speakers": lambda counts, scores_of: bootstrap(
        counts, scores_of, num_resamples=500
    ),
}
OVER_UTTERANCES = "bootstrap over utterances"
CHUNK = 250  # data sets at a time: bounds the memory of the bootstraps


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the grid.

    Attributes:
        level: Mean recall over the classes, over all possible speakers.
        speaker_sd: Standard deviation between speakers, logit.
        class_sd: Standard deviation between a speaker's classes, logit.
        is_skewed: Speaker effects are 1 minus an exponential variate (a few speakers
            are much harder) instead of normal.
    """

    level: float
    speaker_sd: float
    class_sd: float
    is_skewed: bool = False


def effect_nodes(case: Case) -> tuple[FloatArray, FloatArray]:
    """Gauss quadrature of a speaker's and class's summed effect.

    Returns:
        Values and weights, each (nodes,).
    """
    normal, normal_weights = np.polynomial.hermite_e.hermegauss(60)
    speaker, speaker_weights = normal, normal_weights
    if case.is_skewed:
        speaker, speaker_weights = np.polynomial.laguerre.laggauss(60)
        speaker = 1 - speaker
    values = case.speaker_sd * speaker[:, None] + case.class_sd * normal
    weights = speaker_weights[:, None] * normal_weights
    return values.ravel(), (weights / weights.sum()).ravel()


def class_logits(case: Case) -> tuple[FloatArray, FloatArray]:
    """The classes' logits that give the level, and the recall each then has.

    Returns:
        Logits without effects and recalls over all speakers, each (classes,).
    """
    values, weights = effect_nodes(case)

    def recalls(centre: float) -> FloatArray:
        return expit(centre + CLASS_SHIFTS[:, None] + values) @ weights

    centre = brentq(lambda x: recalls(x).mean() - case.level, -15, 15)
    return centre + CLASS_SHIFTS, recalls(centre)


def answer_shares(recall: FloatArray) -> FloatArray:
    """Share of each answer to each class, (..., classes, classes), from its recall."""
    wrong = WRONG_ANSWERS * (1 - np.eye(NUM_CLASSES))
    wrong /= wrong.sum(axis=1, keepdims=True)
    return recall[..., None] * np.eye(NUM_CLASSES) + (1 - recall)[..., None] * wrong


def simulate(
    case: Case, num_datasets: int, random: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Draw data sets.

    Returns:
        (data sets, speakers, classes, classes) confusion counts.
    """
    shape = (num_datasets, NUM_SPEAKERS, 1)
    speaker = random.standard_normal(shape)
    if case.is_skewed:
        speaker = 1 - random.standard_exponential(shape)
    by_class = random.standard_normal((num_datasets, NUM_SPEAKERS, NUM_CLASSES))
    logits, _ = class_logits(case)
    effects = case.speaker_sd * speaker + case.class_sd * by_class
    shares = answer_shares(expit(logits + effects))
    counts = np.zeros(shares.shape, np.int64)
    left = np.broadcast_to(EMO_DB_COUNTS, shares.shape[:-1])
    share_left = np.ones(shares.shape[:-1])
    for answer in range(NUM_CLASSES - 1):  # a multinomial, one binomial after another
        share = np.clip(shares[..., answer] / np.maximum(share_left, 1e-12), 0, 1)
        counts[..., answer] = random.binomial(left, share)
        left = left - counts[..., answer]
        share_left = share_left - shares[..., answer]
    counts[..., -1] = left
    return counts


def true_figures(case: Case) -> FloatArray:
    """The figures over all possible speakers, (4,)."""
    _, recalls = class_logits(case)
    return scores_of(answer_shares(recalls) * EMO_DB_COUNTS.sum(axis=0)[:, None])


def covered(limits: Limits, truth: FloatArray) -> FloatArray:
    """Share of the data sets whose interval holds the truth, (4,)."""
    return ((limits[0] <= truth) & (truth <= limits[1])).mean(axis=0)


def utterance_bootstrap(pooled: npt.NDArray[Any], num_resamples: int = 500) -> Limits:
    """Percentile bootstrap over utterances of pooled confusion matrices.

    Where every utterance has one row, drawing utterances with replacement is drawing
    from a multinomial over the matrix's cells: `intervals.bootstrap`, but quick.

    Args:
        pooled: (data sets, classes, classes).
        num_resamples: Draws a data set.

    Returns:
        Lower and upper limits, each (data sets, 4).
    """
    random = np.random.RandomState(0)
    limits = []
    for counts in pooled:
        shares = counts.ravel() / counts.sum()
        drawn = random.multinomial(counts.sum(), shares, num_resamples)
        values = scores_of(drawn.reshape(-1, *counts.shape))
        limits.append(np.quantile(values, [TAIL, 1 - TAIL], axis=0))
    low, high = np.stack(limits, axis=1)
    return low, high


def coverage(
    case: Case, num_datasets: int, *, methods: Sequence[str], seed: int = 0
) -> dict[str, FloatArray]:
    """Coverage of intervals in one cell of the grid.

    Args:
        case: The cell.
        num_datasets: Simulated; the bootstrap over utterances, the slowest, takes the
            first tenth of them.
        methods: Of `SPEAKER_LIMITS` or `OVER_UTTERANCES`.
        seed: Of the draws.

    Returns:
        By method, the share of intervals that hold the truth, (4,) as `SCORES`.
    """
    counts = simulate(case, num_datasets, np.random.RandomState(seed))
    truth = true_figures(case)
    result = {}
    for method in methods:
        if method == OVER_UTTERANCES:
            pooled = counts[: max(1, num_datasets // 10)].sum(axis=1)
            result[method] = covered(utterance_bootstrap(pooled), truth)
            continue
        parts = np.array_split(counts, -(-num_datasets // CHUNK))
        limits = [SPEAKER_LIMITS[method](part, scores_of) for part in parts]
        low, high = (np.concatenate(side) for side in zip(*limits, strict=True))
        result[method] = covered((low, high), truth)
    return result


def monte_carlo_error(num_datasets: int) -> float:
    """Standard error of a coverage of 0.95 estimated from so many data sets."""
    return float(np.sqrt(0.95 * 0.05 / num_datasets))


def grid() -> list[Case]:
    """Every level with every strength of effects; then skewed speakers, for warning."""
    normal = [
        Case(level=level, speaker_sd=speaker_sd, class_sd=class_sd)
        for level, (speaker_sd, class_sd) in itertools.product(LEVELS, EFFECTS)
    ]
    skewed = [
        Case(level=level, speaker_sd=0.6, class_sd=0.5, is_skewed=True)
        for level in LEVELS
    ]
    return normal + skewed


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line."""
    parser = Parser(prog="python -m benchmarks.interval_coverage", description=__doc__)
    parser.add_argument(
        "--datasets", type=int, default=4000, help="simulated a cell of the grid"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--csv", type=Path, help="write the table here too")
    arguments = parser.parse_args(argv)
    if arguments.datasets < 10:
        parser.error(f"--datasets must be at least 10, got {arguments.datasets}")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Print the coverage of every interval in every cell, in percent."""
    arguments = parse_args(argv)
    methods = [*SPEAKER_LIMITS, OVER_UTTERANCES]
    head = ["level", "speaker sd", "class sd", "effects", "interval", *SCORES.values()]
    lines = [head]
    print(*markdown_table(head), sep="\n")
    for number, case in enumerate(grid()):
        seed = arguments.seed + number  # cells are independent
        cells = coverage(case, arguments.datasets, methods=methods, seed=seed)
        for method, shares in cells.items():
            kind = "skewed" if case.is_skewed else "normal"
            cell = [case.level, case.speaker_sd, case.class_sd, kind, method]
            lines.append([*map(str, cell), *(f"{100 * share:.1f}" for share in shares)])
            print(markdown_row(lines[-1]), flush=True)
    error = 100 * monte_carlo_error(arguments.datasets)
    print(
        f"\nCoverage in percent, nominal 95; Monte-Carlo error {error:.1f} "
        f"({OVER_UTTERANCES}: {error * 10**0.5:.1f}) percentage points."
    )
    if arguments.csv:
        write_atomic(arguments.csv, csv_text(lines))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
