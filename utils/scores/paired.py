"""Paired tests of two runs on the utterances both tested.

The headline flips signs over speakers: were two systems equally good, each speaker's
difference could as well have had the other sign. It is exact; with ten speakers its
smallest p is 2/1024. McNemar's exact test stands beside it; it takes utterances as
independent, which those of one speaker are not.

An utterance tested several times (protocol `paper`) enters once, with the share of its
rows that were right; McNemar's test needs one answer an utterance and is left out
where that share is neither 0 nor 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from utils.runs.records import Run

EXACT_UNITS = 20  # 2^20 sign vectors; beyond, this many of them at random:
NUM_FLIPS = 100_000
FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Paired:
    """The utterances two runs both tested.

    Attributes:
        true: (n,) class index.
        speakers: (n,) str, or None where unknown.
        right: (2, n) share of right answers of the first and of the second run.
    """

    true: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.object_]
    right: FloatArray


def common_utterances(first: Run, other: Run, source: str = "keras") -> Paired | None:
    """The utterances both runs tested, in order of their ids.

    Args:
        first: The run compared against.
        other: Another run.
        source: Which model answered.

    Returns:
        None where the corpora or their classes differ, or no utterance is common.
    """
    if (first.corpus_digest, first.classes) != (other.corpus_digest, other.classes):
        return None
    tables = [_mean_right(run, source) for run in (first, other)]
    common = sorted(tables[0].keys() & tables[1].keys())
    if not common:
        return None
    true, speakers = zip(*(tables[0][name][:2] for name in common), strict=True)
    return Paired(
        true=np.array(true, np.int64),
        speakers=np.array(speakers, object),
        right=np.array([[table[name][2] for name in common] for table in tables]),
    )


def _mean_right(run: Run, source: str) -> dict[str, tuple[int, str | None, float]]:
    """True class, speaker and share of right answers of each utterance."""
    rows = run.rows(source)
    ids, start, index = np.unique(
        rows.utterance_ids.astype(str), return_index=True, return_inverse=True
    )
    right = np.bincount(index, rows.predicted == rows.true) / np.bincount(index)
    return {
        name: (int(rows.true[at]), rows.speakers[at], float(share))
        for name, at, share in zip(ids, start, right, strict=True)
    }


def unit_differences(paired: Paired) -> tuple[str, FloatArray]:
    """What each speaker adds to the differences of UA and WA (second minus first).

    Args:
        paired: The common utterances.

    Returns:
        The unit, `speaker` or, where fewer than two are known, `utterance`; and
        (2, units): contributions to UA and to WA, which sum to their differences.
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
        contributions: (units,); zero sum is what the hypothesis says.

    Returns:
        The share of all sign vectors whose sum is as far from zero: exact up to
        `EXACT_UNITS` units, beyond from random vectors, the observed one among them.
    """
    moving = contributions[contributions != 0]  # a zero has no sign to flip
    if len(moving) <= EXACT_UNITS:
        sums = np.zeros(1)
        for difference in moving:  # doubles: every sum so far with either sign
            sums = np.concatenate([sums + difference, sums - difference])
    else:
        random = np.random.RandomState(0)
        shape = (NUM_FLIPS // 100, len(moving))  # a hundredth at a time: memory
        draws = [(2 * random.randint(0, 2, shape) - 1) @ moving for _ in range(100)]
        sums = np.concatenate([[moving.sum()], *draws])
    observed = abs(moving.sum())
    rounding = 1e-12  # sums in another order tie although their last bits differ
    return float(np.mean(np.abs(sums) >= observed - rounding))


def mcnemar(paired: Paired) -> float | None:
    """McNemar's exact test: p that right-only utterances split as a fair coin does.

    Args:
        paired: The common utterances.

    Returns:
        Two-sided p; None where an utterance was tested several times by a run, with
        different answers.
    """
    first, second = paired.right
    if not np.isin(paired.right, (0, 1)).all():
        return None
    gained, lost = int((second > first).sum()), int((second < first).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
