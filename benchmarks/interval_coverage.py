"""How often 95 % intervals contain the truth, at ten speakers: a simulation.

    python -m benchmarks.interval_coverage [--datasets 4000]

Each simulated data set has as many utterances of each speaker and class as EMO-DB. Each
speaker, and each class of a speaker, shifts the probability of a right answer (normal
effects on the logit scale), so the errors of one speaker are correlated. Wrong answers
are distributed over the other classes as in the published confusion matrix. The truth
is the score over all speakers that could have been drawn.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from utils.cli import Parser, run_main
from utils.scores.intervals import Limits, logit_jackknife
from utils.scores.metrics import SCORES, scores_of
from utils.tables import markdown_row, markdown_table

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
# Errors in the paper's cross-entropy matrix (1070 rows), plus one half, since none of
# them is impossible.
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
CHUNK = 250  # data sets at a time: bounds the memory


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the grid.

    Attributes:
        level: Mean recall over the classes, over all possible speakers.
        speaker_sd: Standard deviation between speakers, logit.
        class_sd: Standard deviation between the classes of a speaker, logit.
    """

    level: float
    speaker_sd: float
    class_sd: float


def class_logits(case: Case) -> tuple[FloatArray, FloatArray]:
    """The logits of the classes that give the level, and the resulting recalls.

    Returns:
        Logits without effects and recalls over all speakers, each (classes,).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    effects = nodes * np.hypot(case.speaker_sd, case.class_sd)  # sum of two normals

    def recalls(centre: float) -> FloatArray:
        shares = expit(centre + CLASS_SHIFTS[:, None] + effects)
        return shares @ weights / weights.sum()

    centre = brentq(lambda x: recalls(x).mean() - case.level, -15, 15)
    return centre + CLASS_SHIFTS, recalls(centre)


def answer_shares(recall: FloatArray) -> FloatArray:
    """Share of each answer per true class: (..., classes, classes)."""
    wrong = WRONG_ANSWERS * (1 - np.eye(NUM_CLASSES))
    wrong /= wrong.sum(axis=1, keepdims=True)
    return recall[..., None] * np.eye(NUM_CLASSES) + (1 - recall)[..., None] * wrong


def simulate(
    case: Case, num_datasets: int, random: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Draw confusion counts: (data sets, speakers, classes, classes)."""
    speaker = random.standard_normal((num_datasets, NUM_SPEAKERS, 1))
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


def true_scores(case: Case) -> FloatArray:
    """The scores over all possible speakers, (4,)."""
    _, recalls = class_logits(case)
    return scores_of(answer_shares(recalls) * EMO_DB_COUNTS.sum(axis=0)[:, None])


def covered(limits: Limits, truth: FloatArray) -> FloatArray:
    """Share of the data sets whose interval contains the truth, (4,)."""
    return ((limits[0] <= truth) & (truth <= limits[1])).mean(axis=0)


def coverage(case: Case, num_datasets: int, *, seed: int = 0) -> FloatArray:
    """Coverage of the reported intervals in one cell of the grid.

    Args:
        case: The cell.
        num_datasets: Number of simulated data sets.
        seed: Of the draws.

    Returns:
        The share of intervals that contain the truth, (4,) as `SCORES`.
    """
    counts = simulate(case, num_datasets, np.random.RandomState(seed))
    parts = np.array_split(counts, -(-num_datasets // CHUNK))
    limits = [logit_jackknife(part, scores_of) for part in parts]
    low, high = (np.concatenate(side) for side in zip(*limits, strict=True))
    return covered((low, high), true_scores(case))


def monte_carlo_error(num_datasets: int) -> float:
    """Standard error of a coverage of 0.95 estimated from so many data sets."""
    return float(np.sqrt(0.95 * 0.05 / num_datasets))


def grid() -> list[Case]:
    """Every level with every strength of effects."""
    return [
        Case(level=level, speaker_sd=speaker_sd, class_sd=class_sd)
        for level, (speaker_sd, class_sd) in itertools.product(LEVELS, EFFECTS)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the coverage in every cell of the grid, in percent."""
    parser = Parser(prog="python -m benchmarks.interval_coverage", description=__doc__)
    parser.add_argument(
        "--datasets", type=int, default=4000, help="per cell of the grid"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    arguments = parser.parse_args(argv)
    if arguments.datasets < 10:
        parser.error(f"--datasets must be at least 10, got {arguments.datasets}")
    print(
        *markdown_table(["level", "speaker sd", "class sd", *SCORES.values()]), sep="\n"
    )
    for number, case in enumerate(grid()):  # cells are independent
        shares = coverage(case, arguments.datasets, seed=arguments.seed + number)
        percents = (f"{100 * share:.1f}" for share in shares)
        cells = [case.level, case.speaker_sd, case.class_sd, *percents]
        print(markdown_row(cells), flush=True)
    error = 100 * monte_carlo_error(arguments.datasets)
    print(
        f"\nCoverage in percent, nominal 95; Monte-Carlo error {error:.1f} "
        "percentage points."
    )
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
