"""Every figure of a run, from its records."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hyperparameters import InputError, to_flat
from utils.report.plots.results import (
    Interval,
    RecallPanel,
    accuracy_by_epoch_figure,
    confusion_figure,
    curves_figure,
    recall_figure,
)
from utils.report.plots.style import save, styled
from utils.runs.folder import settings_of
from utils.runs.records import Run, load_run
from utils.scores.metrics import summary

HEADING_SIZE = 10.0
LETTERS_AN_INCH = 12.5  # of the heading
LINE_IN = 0.17


def draw_run(folder: Path) -> list[Path]:
    """Draw every figure of a run again, in its folder.

    Args:
        folder: A run folder, or a copy of its configuration and records.

    Returns:
        The files written.

    Raises:
        InputError: No run folder, or a damaged record.
        OSError: A file cannot be written.
    """
    run = load_run(folder)
    return save_figures(run, run_figures(run, summary(run)))


def save_figures(run: Run, figures: Mapping[str, Figure]) -> list[Path]:
    """Write figures into the run folder as `<stem>_<name>.pdf` and `.png`."""
    return [
        path
        for name, figure in figures.items()
        for path in save(figure, run.folder / f"{run.file_stem}_{name}")
    ]


def run_figures(run: Run, scores: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures that a run's records allow, by the end of their file names.

    Args:
        run: A run, complete or not.
        scores: As from `utils.scores.metrics.summary`.

    Returns:
        Figures, each headed by what was run; without test set learning curves alone.
    """
    histories = {r["fold"]: _history(run, r) for r in run.records if r.get("history")}
    kept = {r["fold"]: r["epoch_kept"] for r in run.records if r.get("history")}
    figures: dict[str, Figure] = {}
    if scores["n"]:
        counts = scores["confusion"]["counts"]
        for name, is_normalised in (("", False), ("Normalized", True)):
            figures[f"TotalConfusionMatrix{name}"] = confusion_figure(
                counts, run.classes, is_normalised=is_normalised
            )
        figures["Recall"] = recall_figure(_recall_panels(scores))
    if histories:
        figures["LearningCurves"] = curves_figure(
            histories, kept, chosen_on=run.chosen_on
        )
    if curves := _test_curves(run, histories):
        figures["TestAccuracyByEpoch"] = accuracy_by_epoch_figure(
            curves, kept, chosen_on=run.chosen_on
        )
    for figure in figures.values():
        _head(figure, heading_of(run))
    return figures


def heading_of(run: Run) -> list[str]:
    """What a figure that travels alone must say, each on a line of its own.

    Args:
        run: A run, complete or not.

    Returns:
        What was run and which folds are missing; the audit's verdict and the corpus's
        note, where there are any.
    """
    settings = to_flat(settings_of(run.config))
    parts = [
        run.config["corpus"]["name"],
        f"{settings['duration_s']:g} s",
        settings["input_type"],
        settings["loss_name"].replace("_", "-"),
        f"protocol {run.protocol}",
        f"seed {settings['seed']}",
    ]
    if not run.is_complete:
        parts.append(f"PARTIAL: {run.progress}")
    return [", ".join(parts), *(text for text in (run.verdict, run.note) if text)]


@styled()
def _head(figure: Figure, heading: Sequence[str]) -> None:
    """Write the heading above the figure, in room of its own."""
    width = int(figure.get_figwidth() * LETTERS_AN_INCH)
    lines = [line for text in heading for line in textwrap.wrap(text, width)]
    figure.set_figheight(figure.get_figheight() + LINE_IN * len(lines))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", size=HEADING_SIZE)


def _history(run: Run, record: Mapping[str, Any]) -> dict[str, list[float]]:
    """The curves of one fold, held to one value an epoch.

    Raises:
        InputError: Curves of different lengths, no numbers, or a kept epoch beyond.
    """
    history, kept = record["history"], record.get("epoch_kept")
    try:
        epochs = np.array(list(history.values()), dtype=np.float64).shape[1]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{run.folder}: fold {record['fold']}: 'history' must hold lists of "
            "numbers, one value an epoch; train this fold again"
        ) from error
    if kept not in range(epochs):
        raise InputError(
            f"{run.folder}: fold {record['fold']}: 'epoch_kept' must be one of the "
            f"{epochs} epochs in 'history', got {kept!r}; train this fold again"
        )
    return dict(history)


def _test_curves(
    run: Run, histories: Mapping[int, Mapping[str, list[float]]]
) -> dict[int, list[float]]:
    """Test accuracy by epoch, where recorded or where the test fold chose the epoch."""
    name = "validation_accuracy" if run.chosen_on == "test" else "test_accuracy"
    return {fold: h[name] for fold, h in sorted(histories.items()) if h.get(name)}


def _recall_panels(scores: Mapping[str, Any]) -> list[RecallPanel]:
    """Recall of the classes that were tested, UA of the speakers where known."""
    classes = [row for row in scores["per_class"] if row["recall"]]
    speakers = scores["per_speaker"]
    panels = [
        RecallPanel(
            "Recall by class",
            " or ".join(dict.fromkeys(r["recall"]["unit"] for r in classes)),
            [(r["class"], r["support"], _interval(r["recall"])) for r in classes],
        )
    ]
    if speakers:
        panels.append(
            RecallPanel(
                "UA (mean recall) by speaker",
                speakers[0]["ua"]["unit"],
                [(r["speaker"], r["n"], _interval(r["ua"])) for r in speakers],
            )
        )
    return panels


def _interval(figure: Mapping[str, float]) -> Interval:
    return figure["value"], figure["low"], figure["high"]
