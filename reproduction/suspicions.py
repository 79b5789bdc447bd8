"""Why our scores may differ from the published ones: each suspicion with its number.

Everything comes from the committed records. The test curves of the run with the
published settings show how much the choice of the epoch contributes. Runs with another
setting are compared with that run on the utterances both tested.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hyperparameters import QUESTION, Settings, to_flat
from utils.runs.records import Run
from utils.scores.compare import difference_text
from utils.scores.metrics import fold_scores
from utils.scores.paired import common_utterances, sign_flip, unit_differences
from utils.tables import markdown_table

PUBLISHED = "published"
SHORTER = (100, 200)  # epochs
CURVE_HEADS = ("suspicion", "WA %", "against the published rule")
SCORE_HEADS = ("WA % published", "WA % changed", "ΔUA (p)", "ΔWA (p)")
CHANGE_HEADS = ("suspicion", "folds", "utterances", *SCORE_HEADS)


def answers_another_question(run: Run) -> bool:
    """Whether more than protocol, loss and seed differs: no row among the results."""
    return bool(set(changes(run, {})) - set(QUESTION))


def suspicions(runs: Sequence[Run]) -> str:
    """The suspicions as Markdown, for each loss that was run as published."""
    chosen_on_test = [run for run in runs if run.chosen_on == "test"]
    parts = []
    for base in filter(is_as_published, chosen_on_test):
        loss = base.settings["loss_name"]
        same_loss = [run for run in chosen_on_test if run.settings["loss_name"] == loss]
        rows = [change_row(base, run) for run in same_loss if run is not base]
        seed = base.settings["seed"]
        parts += [f"### {loss}, seed {seed} ({base.progress})", ""]
        parts += [*markdown_table(CURVE_HEADS, curve_rows(base)), ""]
        if rows:
            parts += [*markdown_table(CHANGE_HEADS, rows), ""]
    return "\n".join(parts).strip() or "None measured yet."


def is_as_published(run: Run) -> bool:
    """Whether a run has the published settings and seed, and its curves."""
    curves = [
        record.get("history", {}).get(name, ())
        for record in run.records
        for name in ("validation_accuracy", "validation_loss")
    ]
    return (
        run.protocol == PUBLISHED
        and run.settings["seed"] == Settings().training.seed
        and not answers_another_question(run)
        and all(curves)
        and len(set(map(len, curves))) == 1
    )


def curve_rows(run: Run) -> list[list[str]]:
    """Accuracy under other rules for choosing an epoch, and what chance contributes."""
    sizes = np.array([len(record["test"]) for record in run.records])
    histories = [record["history"] for record in run.records]
    accuracy = np.array([history["validation_accuracy"] for history in histories])
    loss = np.array([history["validation_loss"] for history in histories])
    # right answers of each fold after each epoch, (folds, epochs)
    right = np.rint(accuracy * sizes[:, None]).astype(np.int64)
    at_lowest_loss = right[np.arange(len(right)), loss.argmin(axis=1)]
    last_fifty = right[:, -50:].mean(axis=1)
    choices = {
        **_best_epochs(right, sizes.mean()),
        "choice of an epoch: the lowest test loss": at_lowest_loss,
        "choice of an epoch: the last one, nothing chosen": right[:, -1],
        "choice of an epoch: mean of the last 50, nothing chosen": last_fifty,
    }
    percents = {text: 100 * n.sum() / sizes.sum() for text, n in choices.items()}
    published = 100 * right.max(axis=1).sum() / sizes.sum()
    return [
        *([text, f"{p:.2f}", f"{p - published:+.2f}"] for text, p in percents.items()),
        *_chance(run),
    ]


def _best_epochs(
    right: npt.NDArray[Any], utterances: float
) -> dict[str, npt.NDArray[Any]]:
    """Right answers at the best epoch: of all, of the first, of several folds together.

    Args:
        right: (folds, epochs) right answers.
        utterances: Mean size of a test fold.
    """
    best, (folds, epochs) = right.max(axis=1), right.shape
    ties = (right == best[:, None]).sum(axis=1)
    choices = {
        "as published: the best epoch on the test fold, the latest of equals": best,
        f"rule for equal epochs: {ties.min()} to {ties.max()} epochs of a fold are "
        f"equal, {ties.mean():.1f} on average; any of them": best,
    }
    for first in (n for n in SHORTER if n < epochs):
        text = f"schedule: the best of the first {first} epochs"
        choices[text] = right[:, :first].max(axis=1)
    for which, size in {"every two": 2, "all": folds}.items():
        if folds > 1:
            text = f"size of the set that chooses: one epoch for {which} folds, "
            text += f"{size * utterances:.0f} utterances"
            choices[text] = best_together(right, size)
    return choices


def best_together(right: npt.NDArray[Any], folds: int) -> npt.NDArray[Any]:
    """Right answers of each group of folds that chooses one epoch together.

    Args:
        right: (folds, epochs) right answers.
        folds: Size of a group; the last one may be smaller.
    """
    return np.add.reduceat(right, range(0, len(right), folds)).max(axis=1)


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
    """A run with another setting, compared on the utterances both runs tested."""
    text = ", ".join(
        f"`{name}` {value}, not {before}"
        for name, (value, before) in changes(other, base.settings).items()
    )
    folds = other.progress.removesuffix(" folds")
    paired = common_utterances(base, other)
    if paired is None:
        return [text, folds, "0", *["–"] * 4]
    _, contributions = unit_differences(paired)
    accuracies = [f"{100 * right.mean():.2f}" for right in paired.right]
    cells = [difference_text(c.sum(), sign_flip(c), digits=2) for c in contributions]
    return [text, folds, str(len(paired.true)), *accuracies, *cells]


def changes(run: Run, settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which a run differs: the run's and the other value, by name.

    Args:
        run: A run.
        settings: Some settings; the others have their published values.
    """
    other = {**to_flat(Settings()), **settings}
    return {k: (v, other[k]) for k, v in run.settings.items() if v != other[k]}
