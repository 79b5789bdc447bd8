"""The report as one HTML file without scripts: pictures inside, recordings linked."""

import base64
import html
import os
import string
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperparameters import Settings, to_flat
from utils.report.recordings import Recording
from utils.report.sections import (
    NO_SCORE,
    Bar,
    Section,
    audit_lines,
    facts,
    score_sections,
    warning,
)
from utils.runs.records import Rows, Run
from utils.scores.intervals import limits_text, value_text
from utils.scores.metrics import SCORES

TEMPLATE = Path(__file__).with_name("page.html")
MOST_WRONG, SUREST = 12, 6  # utterances that are listed
STRONG_CELL = 0.55  # of a matrix; text on stronger cells is light
MARKS_KEY = (
    '<p class="notes"><span class="key"><i class="mark"></i></span> a random class '
    '<span class="key"><i class="mark majority"></i></span> always the most frequent '
    'class <span class="key"><i class="range" style="left:0;width:100%"></i></span> '
    "95 % interval</p>"
)
NO_PLAYERS = (
    "Players and scores by duration need the recordings: python -m utils.report RUN "
    "--data_dir FOLDER"
)
Recordings = Mapping[str, Recording]


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
    parts = [f"<h1>{escaped(title)}</h1>"]
    if text := warning(run):
        parts.append(f'<p class="warning">{escaped(text)}</p>')
    parts.append(f'<p class="verdict">{escaped(described["Verdict"])}</p>')
    if run.note:
        parts.append(f"<p>{escaped(run.note)}</p>")
    if scores["n"]:
        first, *others = score_sections(run, metrics)
        parts += [_cards(scores), _section(first), MARKS_KEY]
        parts += [_matrix(scores["confusion"]), *map(_section, others)]
        parts.append(_utterances(run, recordings or {}))
    else:
        parts.append(f"<p>{NO_SCORE}</p>")
    parts += [
        _curves(run),
        _heading("Leak audit"),
        _pre("\n".join(audit_lines(metrics["audit"]))),
        _heading("The run"),
        _facts(described),
        _settings(run),
    ]
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escaped(title), body="\n".join(parts))


def escaped(value: object) -> str:
    """A value as text of an HTML page."""
    return html.escape(str(value))


def _heading(text: str) -> str:
    return f"<h2>{escaped(text)}</h2>"


def _pre(text: str) -> str:
    return f"<pre>{escaped(text)}</pre>"


def _cards(scores: Mapping[str, Any]) -> str:
    """The four scores, large, with their intervals."""
    cards = [
        f"<li>{escaped(label)} %<b>{value_text(score)}</b>"
        f"<span>{limits_text(score)}</span></li>"
        for name, label in SCORES.items()
        for score in [scores["headline"][name]]
    ]
    return f'<ul class="cards">{"".join(cards)}</ul>'


def _section(section: Section) -> str:
    """Heading, table and notes; a column of bars if the section has them."""
    heads = [escaped(head) for head in section.heads]
    rows = [[escaped(cell) for cell in row] for row in section.rows]
    if section.bars:
        heads.append('<span class="axis"><span>0</span><span>100 %</span></span>')
        for row, bar in zip(rows, section.bars, strict=True):
            row.append(_bar(bar) if bar else "")
    notes = "".join(f'<p class="notes">{escaped(note)}</p>' for note in section.notes)
    return f"{_heading(section.title)}\n{_table(heads, rows)}{notes}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already."""
    lines = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    body = "\n".join(lines)
    return f'<div class="scroll"><table class="{kind}">\n{body}\n</table></div>'


def _bar(bar: Bar) -> str:
    """A score as a dot on its interval, with marks for what needs no model."""
    low, high, value = (100 * bar.score[name] for name in ("low", "high", "value"))
    parts = [f'<i class="range" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>']
    parts += [
        f'<i class="mark {name}" style="left:{100 * share:.2f}%"></i>'
        for name, share in bar.marks.items()
    ]
    parts.append(f'<i class="dot" style="left:{value:.2f}%"></i>')
    return f'<span class="track">{"".join(parts)}</span>'


def _matrix(confusion: Mapping[str, Any]) -> str:
    """The confusion matrix: shares of each true class, counts beneath."""
    counts = np.array(confusion["counts"])
    totals = counts.sum(axis=1)
    names = [escaped(name) for name in confusion["classes"]]
    lines = [f"<tr><th></th>{''.join(f'<th>{name}</th>' for name in names)}</tr>"]
    for row, name in enumerate(names):
        cells = [
            _matrix_cell(int(count), int(totals[row]), is_right=row == column)
            for column, count in enumerate(counts[row])
        ]
        lines.append(f"<tr><th>{name} ({totals[row]:,})</th>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return (
        f"{_heading('Confusion matrix: true classes in rows, predicted in columns')}\n"
        f'<div class="scroll"><table class="matrix">\n{body}\n</table></div>'
        '<p class="notes">In % of the true class; number of test rows beneath.</p>'
    )


def _matrix_cell(count: int, total: int, *, is_right: bool) -> str:
    """One cell, shaded by its share of the row."""
    share = count / max(1, total)
    kinds = [
        *(["strong"] if share > STRONG_CELL else []),
        *([] if count else ["none"]),
        *(["right"] if is_right else []),
    ]
    text = f"{100 * share:.1f}<small>{count:,}</small>" if count else "·"
    shade = f"background:rgb(var(--blue) / {share:.3f})"
    return f'<td class="{" ".join(kinds)}" style="{shade}">{text}</td>'


def _utterances(run: Run, recordings: Recordings) -> str:
    """The wrong predictions of the highest probability, and the right ones."""
    rows = run.rows()
    surest_first = np.argsort(-rows.probabilities.max(axis=1), kind="stable")
    is_right = (rows.predicted == rows.true)[surest_first]
    wrong, right = surest_first[~is_right], surest_first[is_right]
    parts = [_heading("Utterances: most wrong, and surest")]
    for kind, found, most in (("wrong", wrong, MOST_WRONG), ("right", right, SUREST)):
        if len(found):
            listed = _list(run, rows.take(found[:most]), recordings)
            title = f"Highest probabilities of the {len(found)} {kind} predictions"
            parts += [f"<h3>{title}</h3>", listed]
    if not recordings:
        parts.append(f'<p class="notes">{escaped(NO_PLAYERS)}</p>')
    return "\n".join(parts)


def _list(run: Run, rows: Rows, recordings: Recordings) -> str:
    """A table of utterances with players."""
    heads = ["utterance", "speaker", "true", "predicted", "its probability"]
    heads.append("that of the true class")
    lines = []
    for index, name in enumerate(rows.utterance_ids):
        true, predicted = int(rows.true[index]), int(rows.predicted[index])
        shares = rows.probabilities[index]
        cells = [name, rows.speakers[index] or "", run.classes[true]]
        cells += [run.classes[predicted], f"{100 * shares[predicted]:.1f} %"]
        cells.append(f"{100 * shares[true]:.1f} %")
        line = [escaped(cell) for cell in cells]
        if recordings:
            line.append(_player(run.folder, recordings.get(name)))
        lines.append(line)
    if recordings:
        heads.append('<span class="player">listen</span>')
    return _table(heads, lines, "list")


def _player(folder: Path, recording: Recording | None) -> str:
    """A player of a recording, by a link relative to the page."""
    if recording is None:
        return ""
    path = os.path.relpath(recording.path.resolve(), folder.resolve())
    link = escaped(urllib.parse.quote(Path(path).as_posix()))
    return f'<audio class="player" controls preload="none" src="{link}"></audio>'


def _curves(run: Run) -> str:
    """The learning curves, if they were drawn."""
    path = run.folder / f"{run.file_stem}_LearningCurves.png"
    if not path.is_file() or not any(record.get("history") for record in run.records):
        return ""
    picture = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/png;base64,{picture}"
    return (
        f"{_heading('Learning curves')}\n<figure>"
        f'<img src="{source}" alt="Loss, accuracy and learning rate by epoch"></figure>'
    )


def _facts(described: Mapping[str, str]) -> str:
    """Protocol, command, versions, machine and time."""
    lines = [
        f"<tr><th>{escaped(label)}</th><td>{escaped(text)}</td></tr>"
        for label, text in described.items()
    ]
    return f'<table class="facts">\n{"".join(lines)}\n</table>'


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
    return f'{_heading(title)}\n<ul class="settings">{"".join(lines)}</ul>'
