"""Report, metrics and pictures of a run, from its configuration and records.

`python -m utils.report FOLDER` renders them again, even from a copy of the records
alone. The scores come from `utils.scores.metrics`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hyperparameters import InputError
from utils.corpora.manifest import Manifest
from utils.files import write_atomic, write_json
from utils.report.chosen_models import place_models
from utils.report.page import report_page
from utils.report.plots.run import save_pictures
from utils.report.recordings import Recording, recordings_of
from utils.report.text import report_text
from utils.runs.checks import check_corpus
from utils.runs.records import Run, load_run
from utils.scores.intervals import interval_text
from utils.scores.known_voice import known_voice_scores
from utils.scores.metrics import SCORES, by_name, confusion, scores_of, summary

FORMAT = 1
PAGE_NAME = "report.html"


class Rendered(NamedTuple):
    """What was rendered.

    Attributes:
        report: Path of `<stem>_Report.txt`.
        page: Path of `report.html`.
        metrics: Content of `metrics.json`.
        headline: Scores, verdict and the corpus's note, one line for the terminal.
    """

    report: Path
    page: Path
    metrics: dict[str, Any]
    headline: str


def render(run_folder: Path, manifest: Manifest | None = None) -> Rendered:
    """Write a run's report, page, `metrics.json`, pictures and the chosen models.

    Args:
        run_folder: Holds config.json and the records of the folds done so far.
        manifest: The run's corpus, if it is at hand: the page then links recordings
            and has scores by duration.

    Returns:
        Paths, metrics, and a line for the terminal.

    Raises:
        InputError: No run folder, no record, a damaged one, or another corpus.
        OSError: A file cannot be written; older ones stay whole.
    """
    run = load_run(run_folder)
    if manifest and manifest.digest != run.corpus_digest:
        raise InputError(
            f"{run_folder}: trained on another version of {manifest.corpus}; give the "
            "same files, or leave out --data_dir and --manifest"
        )
    if manifest:
        check_corpus(run.folder, run.records, manifest)
    recordings = recordings_of(manifest) if manifest else {}
    metrics = metrics_of(run, recordings)
    save_pictures(run, metrics["keras"])
    place_models(run, metrics["keras"])
    write_json(run.folder / "metrics.json", metrics)
    path, page = run.folder / f"{run.file_stem}_Report.txt", run.folder / PAGE_NAME
    write_atomic(path, report_text(run, metrics))
    write_atomic(page, report_page(run, metrics, recordings))
    return Rendered(path, page, metrics, headline(metrics))


def metrics_of(
    run: Run, recordings: Mapping[str, Recording] | None = None
) -> dict[str, Any]:
    """The content of `metrics.json`.

    Args:
        run: A run, complete or not.
        recordings: The corpus's recordings by utterance id, if they are at hand.

    Returns:
        The settings, the audit, `keras` (the full summary of the trained model),
        `precisions` (UA, WA, both F1 of each exported file, and how many of its answers
        differ from Keras), and `known_voice_scores` (by what is known of the voice).
    """
    config = run.records[0] | run.config  # if config.json was not copied
    known = (recordings or {}).items()
    durations_s = {name: r.duration_s for name, r in known if r.duration_s is not None}
    kept = ("hash", "settings", "classes", "corpus")
    made_by = ("commit", "command", "versions", "machine", "time")
    return {
        "format": FORMAT,
        "protocol": run.protocol,
        "num_folds": run.num_folds,
        "folds_done": [record["fold"] for record in run.records],
        **{key: config[key] for key in (*kept, *made_by) if key in config},
        "audit": config.get("audit", {}),
        "keras": summary(run, durations_s=durations_s),
        "precisions": _precisions(run),
        **_voices(run),
    }


def _voices(run: Run) -> dict[str, Any]:
    """`known_voice_scores` of a run that scales features to the voice."""
    if run.settings.get("feature_scaling") != "voice" or not len(run.rows()):
        return {}
    return {"known_voice_scores": known_voice_scores(run)}


def _precisions(run: Run) -> dict[str, dict[str, Any]]:
    """A short score of each exported file that every fold has."""
    reference = run.rows()
    if not len(reference):
        return {}
    scores = {}
    for source in run.sources:
        rows = run.rows(source)
        differing = int((rows.predicted != reference.predicted).sum())
        values = by_name(scores_of(confusion(rows)).tolist())
        scores[source] = values | {"answers_unlike_keras": differing}
    return scores


def headline(metrics: Mapping[str, Any]) -> str:
    """UA and WA with intervals, folds, verdict and the corpus's note, in one line."""
    done, verdict = len(metrics["folds_done"]), metrics["audit"].get("verdict", "")
    parts = [metrics["corpus"]["name"]]
    if scores := metrics["keras"].get("headline"):
        parts += [
            f"{SCORES[name]} % {interval_text(scores[name])}" for name in ("ua", "wa")
        ]
    else:
        parts.append("no score, by design")
    parts.append(f"{done} of {metrics['num_folds']} folds, {metrics['protocol']}")
    parts += [verdict, metrics["corpus"].get("note", "").rstrip(".")]
    return "; ".join(part for part in parts if part)
