"""The report as one HTML file without scripts: pictures inside, recordings linked."""

import base64
from collections.abc import Mapping
from typing import Any

from hyperparameters import Settings, to_flat
from utils.report.parts import (
    MARKS_KEY,
    Recordings,
    confusion_matrix,
    escaped,
    facts_table,
    heading,
    html_page,
    paragraph,
    preformatted,
    score_cards,
    section_part,
    utterance_lists,
)
from utils.report.sections import (
    NO_SCORE,
    audit_lines,
    facts,
    score_sections,
    warning,
)
from utils.runs.records import Run

NO_PLAYERS = (
    "Players and scores by duration need the recordings: python -m utils.report RUN "
    "--data_dir FOLDER"
)


def report_page(
    run: Run, metrics: Mapping[str, Any], recordings: Recordings | None = None
) -> str:
    """The whole page.

    Args:
        run: A run, complete or not; its learning curves are saved as a picture.
        metrics: As from `utils.report.render.metrics_of`.
        recordings: The corpus's recordings by utterance id, if they are at hand.
    """
    corpus, scores = run.config["corpus"]["name"], metrics["keras"]
    title = f"Light-SERNet on {corpus}, protocol {run.protocol}"
    described = facts(run, metrics)
    parts = opening(run, described)
    if scores["n"]:
        first, *others = score_sections(run, metrics)
        parts += [score_cards(scores), section_part(first), MARKS_KEY]
        parts += [confusion_matrix(scores["confusion"]), *map(section_part, others)]
        parts.append(
            utterance_lists(run.rows(), run.classes, run.folder, recordings or {})
        )
        if not recordings:
            parts.append(paragraph(NO_PLAYERS, "notes"))
    else:
        parts.append(paragraph(NO_SCORE))
    parts += [_curves(run), *closing(described, metrics["audit"]), _settings(run)]
    return html_page(title, parts)


def opening(run: Run, described: Mapping[str, str]) -> list[str]:
    """What a reader must know before the scores: missing folds, verdict, note."""
    parts = [paragraph(text, "warning") for text in [warning(run)] if text]
    parts.append(paragraph(described["Verdict"], "verdict"))
    return parts + [paragraph(text) for text in [run.note] if text]


def closing(described: Mapping[str, str], audit: Mapping[str, Any]) -> list[str]:
    """The leak audit, and what is needed to repeat the run."""
    return [
        heading("Leak audit"),
        preformatted("\n".join(audit_lines(audit))),
        heading("The run"),
        facts_table(described),
    ]


def _curves(run: Run) -> str:
    """The learning curves, if they were drawn."""
    path = run.folder / f"{run.file_stem}_LearningCurves.png"
    if not path.is_file() or not any(record.get("history") for record in run.records):
        return ""
    picture = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/png;base64,{picture}"
    return (
        f"{heading('Learning curves')}\n<figure>"
        f'<img src="{source}" alt="Loss, accuracy and learning rate by epoch"></figure>'
    )


def _settings(run: Run) -> str:
    """The settings on record; those that differ from published values are marked.

    Settings that were added later are left out, so old pages stay as they are.
    """
    published = to_flat(Settings())
    lines = []
    for name, value in run.config["settings"].items():
        kind = ' class="changed"' if value != published[name] else ""
        lines.append(f"<li{kind}>{escaped(name)} <b>{escaped(value)}</b></li>")
    title = "Settings (coloured: not the published value)"
    return f'{heading(title)}\n<ul class="settings">{"".join(lines)}</ul>'
