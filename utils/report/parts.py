"""Parts of a page in HTML: tables, bars, matrices, lists with players."""

import html
import os
import string
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.report.recordings import Recording
from utils.report.sections import Bar, Section
from utils.runs.records import Rows
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
Recordings = Mapping[str, Recording]


def html_page(title: str, parts: Iterable[str]) -> str:
    """A whole page: title and heading, then parts that are HTML already."""
    template = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    body = "\n".join([f"<h1>{escaped(title)}</h1>", *parts])
    return template.substitute(title=escaped(title), body=body)


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is its class in the style sheet."""
    start = f'<p class="{kind}">' if kind else "<p>"
    return f"{start}{escaped(text)}</p>"


def escaped(value: object) -> str:
    """A value as text of an HTML page."""
    return html.escape(str(value))


def heading(text: str) -> str:
    """The heading of a section."""
    return f"<h2>{escaped(text)}</h2>"


def preformatted(text: str) -> str:
    """A text whose lines and columns stay as they are."""
    return f"<pre>{escaped(text)}</pre>"


def score_cards(scores: Mapping[str, Any]) -> str:
    """The four scores, large, with their intervals."""
    cards = [
        f"<li>{escaped(label)} %<b>{value_text(score)}</b>"
        f"<span>{limits_text(score)}</span></li>"
        for name, label in SCORES.items()
        for score in [scores["headline"][name]]
    ]
    return f'<ul class="cards">{"".join(cards)}</ul>'


def section_part(section: Section) -> str:
    """Heading, table and notes; a column of bars if the section has them."""
    heads = [escaped(head) for head in section.heads]
    rows = [[escaped(cell) for cell in row] for row in section.rows]
    if section.bars:
        heads.append('<span class="axis"><span>0</span><span>100 %</span></span>')
        for row, bar in zip(rows, section.bars, strict=True):
            row.append(_bar(bar) if bar else "")
    notes = "".join(f'<p class="notes">{escaped(note)}</p>' for note in section.notes)
    return f"{heading(section.title)}\n{_table(heads, rows)}{notes}"


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


def confusion_matrix(
    confusion: Mapping[str, Any],
    title: str = "Confusion matrix: true classes in rows, predicted in columns",
) -> str:
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
        f"{heading(title)}\n"
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


def utterance_lists(
    rows: Rows, classes: Sequence[str], folder: Path, recordings: Recordings
) -> str:
    """The wrong predictions of the highest probability, and the right ones.

    Args:
        rows: The scored utterances.
        classes: Names in the order of the outputs.
        folder: Of the page: players link recordings relatively to it.
        recordings: By utterance id; empty if they are not at hand.
    """
    surest_first = np.argsort(-rows.probabilities.max(axis=1), kind="stable")
    is_right = (rows.predicted == rows.true)[surest_first]
    wrong, right = surest_first[~is_right], surest_first[is_right]
    parts = [heading("Utterances: most wrong, and surest")]
    for kind, found, most in (("wrong", wrong, MOST_WRONG), ("right", right, SUREST)):
        if len(found):
            listed = _list(rows.take(found[:most]), classes, folder, recordings)
            title = f"Highest probabilities of the {len(found)} {kind} predictions"
            parts += [f"<h3>{title}</h3>", listed]
    return "\n".join(parts)


def _list(
    rows: Rows, classes: Sequence[str], folder: Path, recordings: Recordings
) -> str:
    """A table of utterances with players."""
    heads = ["utterance", "speaker", "true", "predicted", "its probability"]
    heads.append("that of the true class")
    lines = []
    for index, name in enumerate(rows.utterance_ids):
        true, predicted = int(rows.true[index]), int(rows.predicted[index])
        shares = rows.probabilities[index]
        cells = [name, rows.speakers[index] or "", classes[true]]
        cells += [classes[predicted], f"{100 * shares[predicted]:.1f} %"]
        cells.append(f"{100 * shares[true]:.1f} %")
        line = [escaped(cell) for cell in cells]
        if recordings:
            line.append(_player(folder, recordings.get(name)))
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


def facts_table(described: Mapping[str, str]) -> str:
    """Protocol, command, versions, machine and time."""
    lines = [
        f"<tr><th>{escaped(label)}</th><td>{escaped(text)}</td></tr>"
        for label, text in described.items()
    ]
    return f'<table class="facts">\n{"".join(lines)}\n</table>'
