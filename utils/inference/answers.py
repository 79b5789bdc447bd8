"""Answers as text for people, and as JSON and CSV for programs."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.inference.classify import Answer, Refusal, Span
from utils.inference.file_labels import Label, Row, read_label, score, table
from utils.tables import csv_text

Shares = Sequence[float] | npt.NDArray[np.floating]  # a probability a class

NO_SPEECH = "no speech"
BAR_CELLS = 24
EIGHTHS = " ▏▎▍▌▋▊▉█"


def class_of(probabilities: Shares, classes: Sequence[str]) -> str:
    """The class of the highest probability, the first of equals."""
    return max(zip(classes, probabilities, strict=True), key=lambda pair: pair[1])[0]


def bar(share: float) -> str:
    """A bar of block characters, an eighth of a character fine."""
    eighths = round(min(max(share, 0.0), 1.0) * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def bars(probabilities: Shares, classes: Sequence[str]) -> list[str]:
    """Each class with its probability as a bar, the most probable first."""
    width = max(map(len, classes))
    ranked = sorted(
        zip(classes, probabilities, strict=True), key=lambda pair: -float(pair[1])
    )
    return [f"  {c:<{width}}  {p:6.1%}  {bar(p)}".rstrip() for c, p in ranked]


def clock(seconds: float) -> str:
    """Hours, minutes and seconds to a hundredth: `0:01:02.50`."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"


def span_class(span: Span, classes: Sequence[str]) -> str:
    """The class of a window, or that there is no speech in it."""
    return class_of(span.probabilities, classes) if span.is_speech else NO_SPEECH


def as_text(answer: Answer, classes: Sequence[str]) -> list[str]:
    """One recording: its class, all classes as bars, timeline and notes."""
    lines = [f"{answer.name}: {class_of(answer.probabilities, classes)}"]
    lines += bars(answer.probabilities, classes)
    label = read_label(answer.name, classes)
    if label is not None:
        lines.append(f"  named {label.class_name}, from {label.origin}")
    if answer.spans:
        spoken = sum(span.is_speech for span in answer.spans)
        lines.append(
            f"  mean of the windows with speech, {spoken} of {len(answer.spans)}:"
        )
        lines += [span_line(span, classes) for span in answer.spans]
    return lines + [f"  note: {note}" for note in answer.notes]


def span_line(span: Span, classes: Sequence[str]) -> str:
    """A window of a timeline: from, to, class, probability as a bar."""
    width = max(len(NO_SPEECH), *map(len, classes))
    times = f"  {clock(span.start_s)}  {clock(span.end_s)}"
    name = span_class(span, classes)
    if not span.is_speech:
        return f"{times}  {name}"
    highest = float(max(span.probabilities))
    return f"{times}  {name:<{width}}  {highest:6.1%}  {bar(highest)}"


def many_as_text(
    results: Sequence[Answer | Refusal], classes: Sequence[str]
) -> list[str]:
    """Many recordings: a line each, those labelled as Table 2, and the counts."""
    answers = [result for result in results if isinstance(result, Answer)]
    width = max(map(len, classes))
    lines = []
    for answer in answers:
        name = class_of(answer.probabilities, classes)
        line = f"{name:<{width}}  {max(answer.probabilities):6.1%}  {answer.name}"
        lines.append("; ".join([line, *answer.notes]))
    if rows := labelled_rows(answers, classes):
        lines += ["", *table(rows)]
    found = [class_of(answer.probabilities, classes) for answer in answers]
    counts = ", ".join(f"{c} {found.count(c)}" for c in classes if c in found)
    refused = len(results) - len(answers)
    summary = f"{len(answers)} classified: {counts}" if answers else "none classified"
    return [*lines, "", f"{summary}; {refused} refused"]


def labelled_rows(answers: Sequence[Answer], classes: Sequence[str]) -> list[Row]:
    """A row of Table 2 for each recording whose name tells its class."""
    labels = [(answer, read_label(answer.name, classes)) for answer in answers]
    return [
        Row(answer.name, label, class_of(answer.probabilities, classes))
        for answer, label in labels
        if label is not None
    ]


def as_json(
    results: Sequence[Answer | Refusal], classes: Sequence[str], model_name: str
) -> str:
    """Everything known of each recording, in the order given; one JSON object."""
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
            origin: {"right": right, "recordings": every}
            for origin, (right, every) in score(rows).items()
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


def _by_class(probabilities: Shares, classes: Sequence[str]) -> dict[str, float]:
    pairs = zip(classes, probabilities, strict=True)
    return {name: float(probability) for name, probability in pairs}


def as_csv(results: Sequence[Answer | Refusal], classes: Sequence[str]) -> str:
    """A row for each recording, or for each window of the timelines."""
    answers = [result for result in results if isinstance(result, Answer)]
    if any(answer.spans for answer in answers):
        heads = ["file", "start_s", "end_s", "level_db", "class", *classes]
        spans = [_span_row(a.name, s, classes) for a in answers for s in a.spans]
        return csv_text([heads, *spans])
    heads = ["file", "class", *classes, "correct_class", "origin"]
    heads += ["duration_s", "bandwidth_hz", "notes"]
    return csv_text([heads, *(_answer_row(answer, classes) for answer in answers)])


def _answer_row(answer: Answer, classes: Sequence[str]) -> list[Any]:
    label = read_label(answer.name, classes) or Label("", "")
    shares = [float(probability) for probability in answer.probabilities]
    return [
        *(answer.name, class_of(shares, classes), *shares, *label),
        *(answer.duration_s, answer.bandwidth_hz, "; ".join(answer.notes)),
    ]


def _span_row(name: str, span: Span, classes: Sequence[str]) -> list[Any]:
    times = [name, span.start_s, span.end_s, round(span.level_db, 2)]
    if not span.is_speech:
        return [*times, NO_SPEECH, *[""] * len(classes)]
    return [*times, span_class(span, classes), *map(float, span.probabilities)]
