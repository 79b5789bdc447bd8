"""Every picture of a run, from its records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hyperparameters import recipe_of
from utils.pictures import add_heading, save
from utils.report.plots.results import (
    ConfusionPanel,
    RecallPanel,
    confusion_figure,
    curves_figure,
    recall_figure,
)
from utils.runs.records import Run

# by the end of the file's name: title, and whether cells are shares of their row
CONFUSIONS = {
    "TotalConfusionMatrix": ("Utterances", False),
    "TotalConfusionMatrixNormalized": ("Share of each true class", True),
}


def save_pictures(run: Run, scores: Mapping[str, Any]) -> list[Path]:
    """Write the pictures into the run folder as `<stem>_<name>.pdf` and `.png`.

    Args:
        run: A run, complete or not.
        scores: As from `utils.scores.metrics.summary`.
    """
    return [
        path
        for name, figure in run_pictures(run, scores).items()
        for path in save(figure, run.folder / f"{run.file_stem}_{name}")
    ]


def run_pictures(run: Run, scores: Mapping[str, Any]) -> dict[str, Figure]:
    """The pictures that a run's records allow, by the end of their file names.

    Args:
        run: A run, complete or not.
        scores: As from `utils.scores.metrics.summary`.

    Returns:
        Figures with a heading that says what was run; without a test set only the
        learning curves.
    """
    histories = {r["fold"]: r["history"] for r in run.records if r.get("history")}
    kept = {r["fold"]: r["epoch_kept"] for r in run.records if r.get("history")}
    figures: dict[str, Figure] = {}
    if scores["n"]:
        for name, (title, is_normalised) in CONFUSIONS.items():
            figures[name] = confusion_figure(
                [ConfusionPanel(title, **scores["confusion"])],
                is_normalised=is_normalised,
            )
        figures["Recall"] = recall_figure(_recall_panels(scores))
    if histories:
        figures["LearningCurves"] = curves_figure(
            histories, kept, chosen_on=run.chosen_on
        )
    for figure in figures.values():
        add_heading(figure, heading_of(run))
    return figures


def heading_of(run: Run) -> list[str]:
    """The main settings, missing folds, the audit's verdict and the corpus's note."""
    settings = run.settings
    parts = [
        run.config["corpus"]["name"],
        f"{settings['duration_s']:g} s",
        settings["input_type"],
        settings["loss_name"].replace("_", "-"),
        *([f"recipe {recipe}"] if (recipe := recipe_of(settings)) else []),
        f"protocol {run.protocol}",
        f"seed {settings['seed']}",
    ]
    if not run.is_complete:
        parts.append(f"PARTIAL: {run.progress}")
    return [", ".join(parts), *(text for text in (run.verdict, run.note) if text)]


def _recall_panels(scores: Mapping[str, Any]) -> list[RecallPanel]:
    """Recall of each tested class, and UA of each speaker if speakers are known."""
    classes = [row for row in scores["per_class"] if row["recall"]]
    units = " or ".join(dict.fromkeys(row["recall"]["unit"] for row in classes))
    rows = [(row["class"], row["support"], row["recall"]) for row in classes]
    panels = [RecallPanel("Recall by class", units, rows)]
    if speakers := scores["per_speaker"]:
        rows = [(row["speaker"], row["n"], row["ua"]) for row in speakers]
        unit = speakers[0]["ua"]["unit"]
        panels.append(RecallPanel("UA (mean recall) by speaker", unit, rows))
    return panels
