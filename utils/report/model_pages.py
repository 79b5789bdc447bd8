"""Pages on exported models: those of a run's folds, or one file on a corpus."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.report.page import closing, opening
from utils.report.parts import (
    MARKS_KEY,
    Recordings,
    confusion_matrix,
    facts_table,
    heading,
    html_page,
    paragraph,
    score_cards,
    section_part,
    utterance_lists,
)
from utils.report.sections import NO_SCORE, Bar, Section, facts, row_sections
from utils.runs.records import Rows, Run
from utils.scores.evaluation_text import LEGEND, judgement, table_cells
from utils.scores.metrics import baselines, confusion, rows_summary
from utils.scores.model_score import footprint_text


def evaluation_page(run: Run, content: Mapping[str, Any]) -> str:
    """The page on the models of a run.

    Args:
        run: With the answers that were scored.
        content: From `utils.scores.evaluation.evaluate`.
    """
    audit = run.config.get("audit", {})
    described = facts(run, {"audit": audit})
    parts = [*opening(run, described), section_part(_models(run, content))]
    if content["utterances"]:
        parts.append(MARKS_KEY)
        for model in content["models"]:
            counts = confusion(run.rows(model["model"])).tolist()
            title = f"{model['model']}: true classes in rows, predicted in columns"
            parts.append(
                confusion_matrix({"classes": run.classes, "counts": counts}, title)
            )
    else:
        parts.append(paragraph(NO_SCORE))
    title = f"TFLite models of Light-SERNet on {content['corpus']['name']}"
    return html_page(
        f"{title}, protocol {run.protocol}", [*parts, *closing(described, audit)]
    )


def _models(run: Run, content: Mapping[str, Any]) -> Section:
    """The table of `tflite_evaluate.py`, with UA as bars."""
    heads, rows = table_cells(content["models"])
    notes = [judgement(content), f"Measured on {content['machine']}.", LEGEND]
    bars = []
    if content["utterances"]:
        without = baselines(confusion(run.rows()), run.classes)
        marks = {kind: without[kind]["ua"] for kind in ("chance", "majority")}
        bars = [Bar(model["ua"], marks) for model in content["models"]]
    title = "Models" + (", and their UA as a picture" if bars else "")
    return Section(title, heads, rows, notes, bars)


def model_page(
    content: Mapping[str, Any], rows: Rows, folder: Path, recordings: Recordings
) -> str:
    """The page on one model file and a corpus.

    Args:
        content: From `utils.scores.model_score.score_model`, with its rows.
        rows: The scored utterances.
        folder: Of the page: players link recordings relatively to it.
        recordings: The corpus's recordings by utterance id.
    """
    known = recordings.items()
    durations_s = {name: r.duration_s for name, r in known if r.duration_s is not None}
    scores = rows_summary(rows, content["classes"], durations_s)
    first, *others = map(section_part, row_sections(scores, {}))
    described = {
        "Model": content["model"],
        "Corpus": f"{content['corpus']}, {scores['n']:,} utterances scored",
        "Classes": ", ".join(content["classes"]),
        "Size, speed": footprint_text(content["footprint"]),
    }
    parts = [
        *map(paragraph, content["notes"]),
        score_cards(scores),
        first,
        MARKS_KEY,
        confusion_matrix(scores["confusion"]),
        *others,
        utterance_lists(rows, content["classes"], folder, recordings),
        heading("The model"),
        facts_table({label: text for label, text in described.items() if text}),
    ]
    return html_page(f"{content['model']} on {content['corpus']}", parts)
