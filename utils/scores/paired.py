"""Paired tests of two runs on the utterances both tested.

The main test flips signs over speakers: under the null hypothesis each speaker's
difference is equally likely to have either sign. With ten speakers the test is exact
and its smallest p is 2/1024. McNemar's exact test is reported beside it, although it
assumes independent utterances and those of one speaker are not.

An utterance tested several times (protocol `paper`) counts once, with the share of its
rows that were right. McNemar's test needs one answer per utterance, so it is left out
if any of these shares is neither 0 nor 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, permutation_test

from utils.runs.records import Rows, Run

NUM_FLIPS = 100_000  # sign vectors of the sign-flip test, at most
FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The utterances two runs both tested.

    Attributes:
        true: (n,) class index.
        speakers: (n,) str, or None if unknown.
        right: (2, n) share of right answers of the first and of the second run.
    """

    true: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.object_]
    right: FloatArray


def common_utterances(first: Run, other: Run, source: str = "keras") -> Paired | None:
    """The utterances both runs tested, in order of their ids.

    Args:
        first: The run to compare with.
        other: Another run.
        source: The model to compare.

    Returns:
        None if the corpora or their classes differ, or no utterance is common.
    """
    if (first.corpus_digest, first.classes) != (other.corpus_digest, other.classes):
        return None
    return common_rows(first.rows(source), other.rows(source))


def common_rows(first: Rows, other: Rows) -> Paired | None:
    """The utterances that occur in both, in order of their ids; None if none does."""
    tables = [_mean_right(rows) for rows in (first, other)]
    common = sorted(tables[0].keys() & tables[1].keys())
    if not common:
        return None
    true, speakers = zip(*(tables[0][name][:2] for name in common), strict=True)
    return Paired(
        true=np.array(true, np.int64),
        speakers=np.array(speakers, object),
        right=np.array([[table[name][2] for name in common] for table in tables]),
    )


def _mean_right(rows: Rows) -> dict[str, tuple[int, str | None, float]]:
    """True class, speaker and share of right answers of each utterance."""
    ids, start, index = np.unique(
        rows.utterance_ids.astype(str), return_index=True, return_inverse=True
    )
    right = np.bincount(index, rows.predicted == rows.true) / np.bincount(index)
    return {
        name: (int(rows.true[at]), rows.speakers[at], float(share))
        for name, at, share in zip(ids, start, right, strict=True)
    }


def unit_differences(paired: Paired) -> tuple[str, FloatArray]:
    """Contribution of each speaker to the differences of UA and WA (second - first).

    Args:
        paired: The common utterances.

    Returns:
        The unit (`speaker`, or `utterance` if fewer than two speakers are known), and
        (2, units) contributions to UA and to WA, which sum to the differences.
    """
    gain = paired.right[1] - paired.right[0]
    per_class = np.bincount(paired.true)
    weights = np.stack(
        [
            1 / (per_class[paired.true] * np.count_nonzero(per_class)),  # UA
            np.full(len(gain), 1 / len(gain)),  # WA
        ]
    )
    if None in paired.speakers or len(set(paired.speakers)) < 2:
        return "utterance", weights * gain
    found, index = np.unique(paired.speakers.astype(str), return_inverse=True)
    sums = np.zeros((2, len(found)))
    np.add.at(sums.T, index, (weights * gain).T)
    return "speaker", sums


def sign_flip(contributions: FloatArray) -> float:
    """Two-sided p of the sign-flip test of a sum of paired differences.

    Args:
        contributions: (units,); their sum is zero under the null hypothesis.

    Returns:
        The share of sign vectors whose sum is at least as far from zero: of all of them
        up to 16 units, else of `NUM_FLIPS` random ones.
    """
    moving = contributions[contributions != 0]  # flipping the sign of 0 does nothing
    if len(moving) < 2:
        return 1.0
    test = permutation_test(
        (moving,),
        # rounded, because sums in another order tie although their last bits differ
        lambda values, axis: np.round(values.sum(axis=axis), 12),
        permutation_type="samples",
        n_resamples=NUM_FLIPS,
        batch=10_000,  # bounds the memory
        rng=np.random.RandomState(0),
    )
    return float(test.pvalue)


def mcnemar(paired: Paired) -> float | None:
    """McNemar's exact test on the utterances that only one of the runs got right.

    Args:
        paired: The common utterances.

    Returns:
        Two-sided p; None if a run tested an utterance several times and was right only
        some of these times.
    """
    first, second = paired.right
    if not np.isin(paired.right, (0, 1)).all():
        return None
    gained, lost = int((second > first).sum()), int((second < first).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
