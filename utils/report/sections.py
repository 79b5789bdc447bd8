"""What a report says, section by section; `text` and `page` lay it out.

Nothing is computed here: the numbers come from `utils.scores.metrics`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from utils.protocols.folds import PROTOCOLS
from utils.runs.records import Run
from utils.scores.intervals import interval_text, limits_text, value_text
from utils.scores.known_voice import NOTHING_KNOWN
from utils.scores.metrics import SCORES

NO_SCORE = "No score, by design: every utterance trains, none is left to test."


class Section(NamedTuple):
    """One section of a report.

    Attributes:
        title: Its heading.
        heads: Headings of the table's columns.
        rows: The table, one cell per heading.
        notes: Paragraphs below the table.
        bars: One per row if a picture of the rows makes sense.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = ()
    bars: Sequence["Bar | None"] = ()


class Bar(NamedTuple):
    """A score as a picture; all values are shares of 1.

    Attributes:
        score: With `value`, `low` and `high`.
        marks: What needs no model, by name: `chance`, `majority`.
    """

    score: Mapping[str, Any]
    marks: Mapping[str, float]


def warning(run: Run) -> str:
    """A warning that folds are missing; empty for a complete run."""
    if run.is_complete:
        return ""
    done = {record["fold"] for record in run.records}
    missing = ", ".join(str(fold) for fold in range(run.num_folds) if fold not in done)
    return (
        f"PARTIAL RUN: {run.progress} are done (missing: {missing}). The scores below "
        "are of these folds alone and must not be compared with those of whole runs."
    )


def facts(run: Run, metrics: Mapping[str, Any]) -> dict[str, str]:
    """Verdict, corpus, protocol, settings, and what is needed to repeat the run.

    Args:
        run: A run, complete or not.
        metrics: As from `utils.report.render.metrics_of`.

    Returns:
        Texts by label; empty ones are left out.
    """
    settings, corpus = run.settings, run.config["corpus"]
    protocol = PROTOCOLS.get(run.protocol)
    changed = run.config.get("changed", {})
    kept = f"{settings['select']}; chosen on: {run.chosen_on}"
    if run.chosen_on == "none":
        kept = "last; nothing was chosen"
    rows = {
        "Verdict": metrics["audit"].get("verdict") or "no audit recorded",
        "Corpus": f"{corpus['name']}, {corpus.get('utterances', '?')} utterances, "
        f"{len(run.classes)} classes",
        "Note": corpus.get("note", ""),
        "Protocol": run.protocol + (f": {protocol.meaning}" if protocol else ""),
        "Epoch kept": kept,
        "Network": f"{settings['duration_s']:g} s, {settings['input_type']}, "
        f"{settings['loss_name']}, audio type {settings['audio_type']}",
        "Training": f"seed {settings['seed']}, {settings['epochs']} epochs, "
        f"batch {settings['batch_size']}",
        "Folds": run.progress.removesuffix(" folds"),
        "Starts from": _start(run),
        "Changed": ", ".join(f"{name} {value}" for name, value in changed.items()),
        **_provenance(run),
    }
    return {label: text for label, text in rows.items() if text}


def _start(run: Run) -> str:
    """The file that training started from, and its corpus; empty if none."""
    start = run.records[0].get("start", {})
    return (
        "{file}, trained on {corpus} (SHA-256 {sha256}…)".format(**start)
        if start
        else ""
    )


def _provenance(run: Run) -> dict[str, str]:
    """Command, commit, versions, machine and time; every value the folds recorded."""
    records = run.records
    seconds = sum(record.get("seconds", 0.0) for record in records)
    cpu_seconds = sum(record.get("cpu_seconds", 0.0) for record in records)
    versions = [
        ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        for record in records
        if record.get("versions")
    ]
    return {
        "Command": _distinct(record.get("command") for record in records),
        "Commit": _distinct(record.get("commit") for record in records),
        "Versions": _distinct(versions),
        "Machine": _distinct(record.get("machine") for record in records),
        "Computed by": _distinct(map(_computed_by, records)),
        "Finished": max((record.get("time") or "" for record in records), default=""),
        "Took": f"{seconds:,.0f} s over the folds, {cpu_seconds:,.0f} CPU-seconds",
    }


def _distinct(texts: Iterable[str | None]) -> str:
    """The distinct texts in the order of the folds, empty ones left out."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _computed_by(record: Mapping[str, Any]) -> str | None:
    """Backend, device and threads of a fold; None in records without this entry."""
    if "backend" not in record:
        return None
    threads = f"threads: {record['threads']}" if record["threads"] else "all cores"
    return f"{record['backend']}, {record['device']}, {threads}"


def score_sections(run: Run, metrics: Mapping[str, Any]) -> list[Section]:
    """Pooled scores; scores by fold, class, speaker, duration and exported model.

    Args:
        run: A run, complete or not.
        metrics: As from `utils.report.render.metrics_of`; some row was tested.

    Returns:
        The sections that have rows.
    """
    scores = metrics["keras"]
    pooled, *groups = row_sections(scores, metrics["audit"])
    exported = _exported(metrics["precisions"])
    voices = [_voices(metrics, is_known=is_known) for is_known in (False, True)]
    sections = [pooled, _folds(run, scores), *groups, exported, *voices]
    return [section for section in sections if section.rows]


def _voices(metrics: Mapping[str, Any], *, is_known: bool) -> Section:
    """The scores that used recordings of the test voice, or those that did not."""
    heads, title = ["system", "UA %", "WA %"], "Nothing known of the voice"
    notes = []
    if is_known:
        heads.insert(0, "recordings")
        title = "Recordings of the test voice set the scale"
        notes = [
            "These scores used unlabelled recordings of the test speaker. The "
            'recordings that set the scale are not scored, except with "all".'
        ]
    rows = [
        [
            *([line["recordings"]] if is_known else []),
            *(line["system"], interval_text(line["ua"]), interval_text(line["wa"])),
        ]
        for line in metrics.get("known_voice_scores", ())
        if (line["recordings"] != NOTHING_KNOWN) == is_known
    ]
    return Section(title, heads, rows, notes)


def row_sections(scores: Mapping[str, Any], audit: Mapping[str, Any]) -> list[Section]:
    """Pooled scores; scores by class, speaker and duration.

    Args:
        scores: As from `utils.scores.metrics.rows_summary`; some row was tested.
        audit: The leak audit; empty if there is none.
    """
    sections = [
        _pooled(scores, audit),
        _classes(scores),
        _groups(scores, "speaker"),
        _groups(scores, "duration"),
    ]
    return [section for section in sections if section.rows]


def _pooled(scores: Mapping[str, Any], audit: Mapping[str, Any]) -> Section:
    """UA, WA and both F1 over all rows, their intervals, and scores without a model."""
    headline, baselines = scores["headline"], scores["baselines"]
    count = f"{scores['n']:,} test rows"
    if scores["utterances"] != scores["n"]:
        count += f" ({scores['utterances']:,} utterances, some in several test sets)"
    methods = dict.fromkeys(score["method"] for score in headline.values())
    unit, units = headline["ua"]["unit"], headline["ua"]["units"]
    notes = [
        f"95 % interval: {'; '.join(methods)}; unit: the {unit}, {units} of them.",
        "Without listening: a random class has UA and WA "
        f"{100 * baselines['chance']['ua']:.2f}; always {baselines['majority_class']}, "
        f"the most frequent class, has WA {100 * baselines['majority']['wa']:.2f}.",
    ]
    if "speaker-dependent" in audit.get("verdict", ""):
        notes.append(
            "The network was trained on these speakers: no interval here covers a new "
            "one."
        )
    return Section(
        f"Scores in %, pooled over {count}",
        ("", "score", "95 % interval"),
        [(label, *_with_limits(headline[name])) for name, label in SCORES.items()],
        notes,
        [Bar(headline[name], _marks(baselines, name)) for name in SCORES],
    )


def _marks(baselines: Mapping[str, Any], name: str) -> dict[str, float]:
    """One score of the predictions that need no model."""
    return {kind: baselines[kind][name] for kind in ("chance", "majority")}


def _folds(run: Run, scores: Mapping[str, Any]) -> Section:
    """Scores and kept epoch of each fold; mean and standard deviation."""
    epochs = {r["fold"]: r.get("epoch_kept", "") for r in run.records}
    folds = scores["folds"]
    rows = [
        (row["fold"], row["n"], *_percents(row), epochs[row["fold"]])
        for row in folds["scores"]
    ]
    rows.append(("mean", "", *_percents(folds["mean"]), ""))
    if folds["sd"]["ua"] is not None:
        rows.append(("sd", "", *_percents(folds["sd"]), ""))
    heads = ("fold", "rows", *SCORES.values(), "epoch kept (from 0)")
    return Section("By fold, in %", heads, rows, [folds["note"]])


def _classes(scores: Mapping[str, Any]) -> Section:
    """Recall with interval, precision and F1 of each class."""
    rows = [
        (
            row["class"],
            row["support"],
            *(_with_limits(row["recall"]) if row["recall"] else ("not tested", "")),
            "" if row["precision"] is None else f"{100 * row['precision']:.2f}",
            f"{100 * row['f1']:.2f}",
        )
        for row in scores["per_class"]
    ]
    unit = scores["headline"]["ua"]["unit"]
    other = [  # classes that only one speaker has
        f"{row['class']} ({row['recall']['unit']})"
        for row in scores["per_class"]
        if row["recall"] and row["recall"]["unit"] != unit
    ]
    notes = [f"Unit of the intervals: the {unit}, but of {', '.join(other)}."]
    heads = ("class", "rows", "recall", "95 % interval", "precision", "F1")
    chance = {"chance": 1 / len(rows)}
    recalls = [row["recall"] for row in scores["per_class"]]
    bars = [Bar(recall, chance) if recall else None for recall in recalls]
    return Section("By class, in %", heads, rows, notes if other else (), bars)


def _groups(scores: Mapping[str, Any], kind: str) -> Section:
    """UA and WA of each speaker or range of durations; no rows if they are unknown."""
    groups = scores.get(f"per_{kind}", ())
    rows = [
        (row[kind], row["n"], *_with_limits(row["ua"]), *_with_limits(row["wa"]))
        for row in groups
    ]
    heads = (kind, "rows", "UA", "95 % interval", "WA", "95 % interval")
    units = " and ".join(dict.fromkeys(f"{row['ua']['unit']}s" for row in groups))
    marks = _marks(scores["baselines"], "ua")
    bars = [Bar(row["ua"], {"chance": marks["chance"]}) for row in groups]
    return Section(f"By {kind}, in % (intervals over {units})", heads, rows, (), bars)


def _exported(precisions: Mapping[str, Mapping[str, Any]]) -> Section:
    """Short scores of the exported files beside those of the trained model."""
    rows = [
        (source, *_percents(row), row["answers_unlike_keras"])
        for source, row in precisions.items()
    ]
    heads = ("model", *SCORES.values(), "answers unlike keras")
    return Section("Exported models, in %", heads, rows if len(rows) > 1 else [])


def audit_lines(audit: Mapping[str, Any]) -> list[str]:
    """The lines the leak audit printed, or else its notes."""
    lines = audit.get("lines") or audit.get("notes")
    return list(lines or ["No audit recorded."])


def _percents(row: Mapping[str, float]) -> list[str]:
    """The four scores of a row, in percent."""
    return [f"{100 * row[name]:.2f}" for name in SCORES]


def _with_limits(score: Mapping[str, Any]) -> tuple[str, str]:
    return value_text(score), limits_text(score)
