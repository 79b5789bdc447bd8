"""Answers as text for people, and as JSON and CSV for programs.

Recordings named `<class>_<origin>[_n].wav` are also scored, as in Table 2 of the report
by G. Panici (2022) on recordings such as `sadness_external_2.wav`.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from utils.inference.classify import Answer, Refusal, Span
from utils.inference.timeline import NO_SPEECH, clock, stretches, time_by_class
from utils.tables import csv_text

Probabilities = Sequence[float] | npt.NDArray[np.floating]  # one per class

BAR_CELLS = 24
EIGHTHS = " ▏▎▍▌▋▊▉█"


class Label(NamedTuple):
    """The correct class and the origin of a recording, from its file name."""

    class_name: str
    origin: str


class Row(NamedTuple):
    """A labelled recording with the predicted class."""

    name: str
    label: Label
    predicted: str

    @property
    def is_right(self) -> bool:
        """Whether the predicted class is correct."""
        return self.predicted == self.label.class_name


def read_label(name: str, classes: Sequence[str]) -> Label | None:
    """Class and origin from a file name, in upper or lower case.

    Args:
        name: File name such as `anxiety_fear_phone_2.wav`, with or without folders.
        classes: The model's classes. Their own names come first, then synonyms such as
            `angry` for `anger`; the longest match wins.

    Returns:
        The label, or None if the name does not begin with a class and an origin.
    """
    stem = normalize("NFC", PurePath(name).stem)
    if "_" not in stem:
        return None
    return _match(stem, {c: c for c in classes}) or _match(stem, _synonyms(*classes))


def _match(stem: str, spellings: Mapping[str, str]) -> Label | None:
    """The label in `<spelling>_<origin>[_n]`, whose origin holds a letter."""
    for spelling in sorted(spellings, key=len, reverse=True):
        start = re.escape(normalize("NFC", spelling))
        found = re.fullmatch(rf"{start}_(.*?)(_\d+)?", stem, re.IGNORECASE)
        if found and re.search(r"[^\W\d_]", found[1]):
            return Label(spellings[spelling], found[1])
    return None


@functools.cache
def _synonyms(*classes: str) -> dict[str, str]:
    """Class by synonym, unless several classes have it."""
    from utils.corpora.class_map import class_map, common_names  # few names need it

    common = class_map()
    named = list(zip(common_names(classes), classes, strict=True))
    counts = Counter(name for name, _ in named)
    by_common = {name: c for name, c in named if counts[name] == 1}
    return {s: by_common[name] for s, name in common.items() if name in by_common}


def labelled_rows(answers: Sequence[Answer], classes: Sequence[str]) -> list[Row]:
    """The answers to recordings whose names contain a label."""
    labels = [(answer, read_label(answer.name, classes)) for answer in answers]
    return [
        Row(answer.name, label, class_of(answer.probabilities, classes))
        for answer, label in labels
        if label is not None
    ]


def score(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Number of right answers and of recordings by origin, in alphabetical order."""
    right = Counter(row.label.origin for row in rows if row.is_right)
    total = Counter(row.label.origin for row in rows)
    return {origin: (right[origin], total[origin]) for origin in sorted(total)}


def label_table(rows: Sequence[Row]) -> list[str]:
    """At least one labelled recording as a text table, with the counts by origin."""
    cells = [("file", "origin", "correct class", "classified as", "")]
    for row in rows:
        mark = "" if row.is_right else "✗"
        correct, origin = row.label
        name = PurePath(row.name).name
        cells.append((name, origin, correct, row.predicted, mark))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    counts = score(rows).items()
    lines += [
        f"{origin}: {right} of {total} right" for origin, (right, total) in counts
    ]
    return [line.rstrip() for line in lines]


def class_of(probabilities: Probabilities, classes: Sequence[str]) -> str:
    """The most probable class; the first one if several are equal."""
    return max(zip(classes, probabilities, strict=True), key=lambda pair: pair[1])[0]


def bar(share: float) -> str:
    """A bar of block characters with a resolution of an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def bars(probabilities: Probabilities, classes: Sequence[str]) -> list[str]:
    """One line per class with its probability as a bar, the most probable first."""
    width = max(map(len, classes))
    ranked = sorted(
        zip(classes, probabilities, strict=True), key=lambda pair: -float(pair[1])
    )
    return [f"  {c:<{width}}  {p:6.1%}  {bar(p)}".rstrip() for c, p in ranked]


def as_text(answer: Answer, classes: Sequence[str]) -> list[str]:
    """One recording: timeline, class, probabilities as bars, and notes."""
    lines = timeline_lines(answer, classes)
    lines += [f"{answer.name}: {class_of(answer.probabilities, classes)}"]
    lines += bars(answer.probabilities, classes)
    if label := read_label(answer.name, classes):
        lines.append(f"  file name says {label.class_name}, origin {label.origin}")
    if answer.spans:
        lines += _summary_lines(answer, classes)
    return lines + [f"  note: {note}" for note in answer.notes]


def timeline_lines(answer: Answer, classes: Sequence[str]) -> list[str]:
    """A heading and one line per stretch of one class; nothing without a timeline."""
    if not answer.spans:
        return []
    end = clock(answer.duration_s)
    width = max(len(NO_SPEECH), *map(len, classes))
    lines = [f"{answer.name}, {end}"]
    for start_s, end_s, name, share in stretches(answer, classes):
        times = f"  {clock(start_s):>{len(end)}} - {clock(end_s):>{len(end)}}"
        value = f"{name:<{width}}  {share:6.1%}  {bar(share)}" if name else NO_SPEECH
        lines.append(f"{times}  {value}")
    return lines


def _summary_lines(answer: Answer, classes: Sequence[str]) -> list[str]:
    """How long each class lasts, and what the probabilities are the mean of."""
    times = time_by_class(stretches(answer, classes))
    parts = ", ".join(f"{name} {clock(time_s)}" for name, time_s in times.items())
    speech = sum(span.is_speech for span in answer.spans)
    return [
        f"  time by class: {parts}",
        f"  mean of the windows with speech, {speech} of {len(answer.spans)}",
    ]


def many_as_text(
    results: Sequence[Answer | Refusal], classes: Sequence[str]
) -> list[str]:
    """Timelines, one line for each recording, the table of labelled ones, counts."""
    answers = [result for result in results if isinstance(result, Answer)]
    width = max(map(len, classes))
    lines, found = [], []
    for answer in answers:
        lines += timeline_lines(answer, classes)
    for answer in answers:
        found.append(class_of(answer.probabilities, classes))
        share = max(answer.probabilities)
        line = f"{found[-1]:<{width}}  {share:6.1%}  {answer.name}"
        lines.append("; ".join([line, *answer.notes]))
    if rows := labelled_rows(answers, classes):
        lines += ["", *label_table(rows)]
        if unnamed := len(answers) - len(rows):
            pattern = "<class>_<origin>.wav"
            of_all = f"{unnamed} of {len(answers)}"
            lines.append(f"no class in the name ({pattern}): {of_all}")
    counts = ", ".join(f"{c} {found.count(c)}" for c in classes if c in found)
    refused = len(results) - len(answers)
    summary = f"{len(answers)} classified: {counts}" if answers else "none classified"
    return [*lines, "", f"{summary}; {refused} refused"]


def as_json(
    results: Sequence[Answer | Refusal], classes: Sequence[str], model_name: str
) -> str:
    """All results in the given order as one JSON object."""
    answers = [result for result in results if isinstance(result, Answer)]
    refusals = [result for result in results if isinstance(result, Refusal)]
    content: dict[str, Any] = {
        "model": model_name,
        "classes": list(classes),
        "files": [_answer_object(answer, classes) for answer in answers],
        "refused": [{"file": item.name, "reason": item.reason} for item in refusals],
    }
    if rows := labelled_rows(answers, classes):
        content["right_of_origin"] = {
            origin: {"right": right, "recordings": total}
            for origin, (right, total) in score(rows).items()
        }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _answer_object(answer: Answer, classes: Sequence[str]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "file": answer.name,
        "class": class_of(answer.probabilities, classes),
        "probabilities": _by_class(answer.probabilities, classes),
        "duration_s": answer.duration_s,
        "bandwidth_hz": answer.bandwidth_hz,
        "notes": list(answer.notes),
    }
    if label := read_label(answer.name, classes):
        content |= {"correct_class": label.class_name, "origin": label.origin}
    if answer.spans:
        content["windows"] = [_span_object(span, classes) for span in answer.spans]
    return content


def _span_object(span: Span, classes: Sequence[str]) -> dict[str, Any]:
    shares = _by_class(span.probabilities, classes) if span.is_speech else None
    return {
        "start_s": span.start_s,
        "end_s": span.end_s,
        "level_db": round(span.level_db, 2),
        "class": class_of(span.probabilities, classes) if span.is_speech else None,
        "probabilities": shares,
    }


def _by_class(probabilities: Probabilities, classes: Sequence[str]) -> dict[str, float]:
    return dict(zip(classes, map(float, probabilities), strict=True))


def as_csv(
    results: Sequence[Answer | Refusal], classes: Sequence[str], *, timelines: bool
) -> str:
    """One row per recording, or per window of `timelines`."""
    answers = [result for result in results if isinstance(result, Answer)]
    if timelines:
        heads = ["file", "start_s", "end_s", "level_db", "class", *classes, "notes"]
        spans = [_span_row(a, span, classes) for a in answers for span in a.spans]
        return csv_text([heads, *spans])
    heads = ["file", "class", *classes, "correct_class", "origin"]
    heads += ["duration_s", "bandwidth_hz", "notes"]
    return csv_text([heads, *(_answer_row(answer, classes) for answer in answers)])


def _answer_row(answer: Answer, classes: Sequence[str]) -> list[Any]:
    content = _answer_object(answer, classes)
    label = (content.get("correct_class", ""), content.get("origin", ""))
    return [
        *(content["file"], content["class"], *content["probabilities"].values()),
        *(*label, answer.duration_s, answer.bandwidth_hz, "; ".join(answer.notes)),
    ]


def _span_row(answer: Answer, span: Span, classes: Sequence[str]) -> list[Any]:
    """A window, with the notes on its recording."""
    start_s, end_s, level_db, class_name, shares = _span_object(span, classes).values()
    values = shares.values() if shares else [""] * len(classes)
    window = (start_s, end_s, level_db, class_name or NO_SPEECH)
    return [answer.name, *window, *values, "; ".join(answer.notes)]
