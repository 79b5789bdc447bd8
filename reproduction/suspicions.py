"""Why a figure may miss the published one: each suspicion with its number.

Everything comes from committed records. What the choice of an epoch is worth stands in
the curves of the published settings' own run. A run that differs from it in a setting
is compared on the utterances that both tested.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hyperparameters import Settings, to_flat
from utils.runs.records import Run
from utils.scores.metrics import fold_scores
from utils.scores.paired import common_utterances, sign_flip, unit_differences
from utils.tables import markdown_table

PUBLISHED = "published"
QUESTION = ("dataset_name", "protocol", "select", "loss_name", "seed")
SHORTER = (100, 200)  # epochs
CURVE_HEADS = ("suspicion", "WA %", "against the published rule")
CHANGE_HEADS = (
    "suspicion",
    "folds",
    "utterances",
    "WA % published",
    "WA % changed",
    "ΔUA (p)",
    "ΔWA (p)",
)


Suspicion = tuple[str, npt.NDArray[Any]]  # and right answers that it leaves, by part


class Curves(NamedTuple):
    """Test accuracy of a run by epoch, where the test fold chose.

    Attributes:
        right: (folds, epochs) right answers.
        loss: (folds, epochs) mean loss.
        sizes: (folds,) test utterances.
    """

    right: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]

    def wa(self, right: npt.NDArray[Any]) -> float:
        """Pooled accuracy in percent of (folds,) right answers."""
        return float(100 * right.sum() / self.sizes.sum())

    def best_together(self, folds: int) -> npt.NDArray[np.int64]:
        """(groups,) right answers where so many folds choose one epoch together."""
        starts = range(0, len(self.sizes), folds)
        return np.add.reduceat(self.right, starts).max(axis=1)

    def at_lowest_loss(self) -> npt.NDArray[np.int64]:
        """(folds,) right answers at the epoch of the lowest loss, the first of them."""
        chosen = self.loss.argmin(axis=1)
        return self.right[np.arange(len(chosen)), chosen]


def answers_another_question(run: Run) -> bool:
    """Whether more than the protocol, the loss or the seed differs from the published.

    Such a run is no reproduction: it has a place among the suspicions only.
    """
    return bool(set(changes(run, {})) - set(QUESTION))


def suspicions(runs: Sequence[Run]) -> str:
    """The suspicions as Markdown, for each loss that was run as published.

    Args:
        runs: Every committed run.
    """
    chosen_on_test = [run for run in runs if run.chosen_on == "test"]
    parts = []
    for base in filter(is_as_published, chosen_on_test):
        others = [
            run
            for run in chosen_on_test
            if run is not base
            and run.settings["loss_name"] == base.settings["loss_name"]
        ]
        parts += [f"### {base.settings['loss_name']} ({base.progress})", ""]
        parts += [*markdown_table(CURVE_HEADS, curve_rows(base)), ""]
        if others:
            rows = [change_row(base, other) for other in others]
            parts += [*markdown_table(CHANGE_HEADS, rows), ""]
    return "\n".join(parts).strip() or "None measured yet."


def is_as_published(run: Run) -> bool:
    """Whether a run has the published settings, seed included, and its curves."""
    return (
        run.protocol == PUBLISHED
        and run.settings["seed"] == Settings().training.seed
        and not answers_another_question(run)
        and all(record.get("history") for record in run.records)
    )


def curves_of(run: Run) -> Curves:
    """The curves of a run whose test folds chose the epochs."""
    sizes = np.array([len(record["test"]) for record in run.records])
    histories = [record["history"] for record in run.records]
    accuracy = np.array([history["validation_accuracy"] for history in histories])
    loss = np.array([history["validation_loss"] for history in histories])
    return Curves(np.rint(accuracy * sizes[:, None]).astype(np.int64), loss, sizes)


def curve_rows(run: Run) -> list[list[str]]:
    """What the rule that chooses an epoch is worth, and what chance is, in points.

    Args:
        run: Of protocol `published`; its folds chose on their test sets.

    Returns:
        Rows under `CURVE_HEADS`.
    """
    curves = curves_of(run)
    best = curves.right.max(axis=1)
    ties = (curves.right == best[:, None]).sum(axis=1)
    published = curves.wa(best)
    last_fifty = curves.right[:, -50:].mean(axis=1)
    rows = [
        ("as published: the best epoch on the test fold, the latest of equals", best),
        (
            f"rule for equal epochs: {ties.min()} to {ties.max()} epochs of a fold "
            f"are equal, {ties.mean():.1f} on average; any of them",
            best,
        ),
        *_shorter_schedules(curves),
        *_larger_sets(curves),
        ("choice of an epoch: the lowest test loss", curves.at_lowest_loss()),
        ("choice of an epoch: the last one, nothing chosen", curves.right[:, -1]),
        ("choice of an epoch: mean of the last 50, nothing chosen", last_fifty),
    ]
    lines = [
        [text, f"{curves.wa(right):.2f}", f"{curves.wa(right) - published:+.2f}"]
        for text, right in rows
    ]
    return [*lines, *_chance(run)]


def _shorter_schedules(curves: Curves) -> list[Suspicion]:
    """The best epoch, had training ended earlier."""
    right = curves.right
    return [
        (f"schedule: the best of the first {n} epochs", right[:, :n].max(axis=1))
        for n in SHORTER
        if n < right.shape[1]
    ]


def _larger_sets(curves: Curves) -> list[Suspicion]:
    """The best epoch of several folds together: less chance to be above by luck."""
    folds, size = len(curves.sizes), curves.sizes.mean()
    text = "size of the set that chooses: one epoch for {} folds, {:.0f} utterances"
    return [
        (text.format(which, together * size), curves.best_together(together))
        for together, which in ((2, "every two"), (folds, "all"))
        if folds > 1
    ]


def _chance(run: Run) -> list[list[str]]:
    """How far another draw of folds and weights may lead, from all folds of a run."""
    scores = fold_scores(run.rows())
    if scores["sd"]["wa"] is None or not run.is_complete:
        return []
    sd, folds = 100 * scores["sd"]["wa"], len(run.records)
    text = (
        "draw and initialisation: mean of the folds, its standard error from their "
        f"standard deviation of {sd:.2f}"
    )
    return [[text, f"{100 * scores['mean']['wa']:.2f}", f"± {sd / folds**0.5:.2f}"]]


def change_row(base: Run, other: Run) -> list[str]:
    """A run with a setting changed, on the utterances both tested.

    Args:
        base: The run of the published settings.
        other: The changed one, complete or not.

    Returns:
        A row under `CHANGE_HEADS`.
    """
    text = ", ".join(
        f"`{name}` {value}, not {before}"
        for name, (value, before) in changes(other, base.settings).items()
    )
    folds = other.progress.removesuffix(" folds")
    paired = common_utterances(base, other)
    if paired is None:
        return [text, folds, "0", *["–"] * 4]
    _, contributions = unit_differences(paired)
    cells = [
        f"{100 * differences.sum():+.2f} ({sign_flip(differences):.3f})"
        for differences in contributions
    ]
    accuracies = [f"{100 * right.mean():.2f}" for right in paired.right]
    return [text, folds, str(len(paired.true)), *accuracies, *cells]


def changes(run: Run, settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which a run differs: its own and the other value, by name.

    Args:
        run: A run.
        settings: Some settings; what they or the run lack, as a record made before a
            setting was added, is the published value.
    """
    published = to_flat(Settings())
    own, other = {**published, **run.settings}, {**published, **settings}
    return {k: (v, other[k]) for k, v in own.items() if v != other.get(k)}
