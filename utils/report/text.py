"""The text of a run's report, section by section; nothing is computed here."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from hyperparameters import to_flat
from utils.protocols.folds import PROTOCOLS
from utils.runs.folder import settings_of
from utils.runs.records import Run
from utils.scores.intervals import limits_text, value_text
from utils.scores.metrics import SCORES
from utils.tables import text_table

WIDTH = 88
LABEL_WIDTH = 12  # of the header's left column
NO_SCORE = "No score, by design: every utterance trains, none is left to test."


def report_text(run: Run, metrics: Mapping[str, Any]) -> str:
    """The whole report.

    Args:
        run: A run, complete or not.
        metrics: As from `utils.report.render.metrics_of`.
    """
    scores = metrics["keras"]
    sections = [_warning(run), _header(run, metrics)]
    if scores["n"]:
        sections += [
            _classification(run),
            [*_pooled(scores), *_caveat(metrics["audit"])],
            _folds(run, scores),
            _classes(scores),
            _speakers(scores),
            _exported(metrics["precisions"]),
        ]
    else:
        sections.append([NO_SCORE])
    sections.append(_audit(metrics["audit"]))
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _warning(run: Run) -> list[str]:
    """A warning that folds are missing; nothing for a complete run."""
    if run.is_complete:
        return []
    done = {record["fold"] for record in run.records}
    missing = ", ".join(str(fold) for fold in range(run.num_folds) if fold not in done)
    return _wrapped(
        f"PARTIAL RUN: {run.progress} are done (missing: "
        f"{missing}). The scores below are of these folds alone and must not be "
        "compared with those of whole runs."
    )


def _header(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """Verdict, corpus, protocol, settings, and what is needed to repeat the run."""
    settings, corpus = to_flat(settings_of(run.config)), run.config["corpus"]
    protocol = PROTOCOLS.get(run.protocol)
    changed = run.config.get("changed", {})
    rows = {
        "Verdict": metrics["audit"].get("verdict", "no audit recorded"),
        "Corpus": f"{corpus['name']}, {corpus.get('utterances', '?')} utterances, "
        f"{len(run.classes)} classes",
        "Note": corpus.get("note", ""),
        "Protocol": run.protocol + (f": {protocol.meaning}" if protocol else ""),
        "Epoch kept": f"{settings['select']}; chosen on: {run.chosen_on}",
        "Network": f"{settings['duration_s']:g} s, {settings['input_type']}, "
        f"{settings['loss_name']}, audio type {settings['audio_type']}",
        "Training": f"seed {settings['seed']}, {settings['epochs']} epochs, "
        f"batch {settings['batch_size']}",
        "Folds": run.progress.removesuffix(" folds"),
        "Changed": ", ".join(f"{name} {value}" for name, value in changed.items()),
        **_provenance(run),
    }
    lines = _title(f"Light-SERNet on {corpus['name']}", "=")
    for label, text in rows.items():  # a row without text is left out
        first, others = f"{label:<{LABEL_WIDTH}}", " " * LABEL_WIDTH
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=others
        )
    return lines


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


def _classification(run: Run) -> list[str]:
    """scikit-learn's classification report with 4 digits, as in the original."""
    from sklearn.metrics import classification_report  # takes a second to import

    rows = run.rows()
    text = classification_report(
        rows.true,
        rows.predicted,
        labels=range(len(run.classes)),
        target_names=run.classes,
        digits=4,
        zero_division=0.0,
    )
    lines = [*_title("Classification report"), *text.rstrip().splitlines()]
    if untested := sorted(set(range(len(run.classes))) - set(rows.true.tolist())):
        names = ", ".join(run.classes[index] for index in untested)
        lines += _wrapped(
            f"Not tested: {names}. The macro average counts it as 0; UA below does not."
        )
    return lines


def _pooled(scores: Mapping[str, Any]) -> list[str]:
    """UA, WA and both F1 over all rows, with their intervals."""
    headline = scores["headline"]
    rows = [(label, *_with_limits(headline[name])) for name, label in SCORES.items()]
    count = f"{scores['n']:,} test rows"
    if scores["utterances"] != scores["n"]:
        count += f" ({scores['utterances']:,} utterances, some in several test sets)"
    methods = dict.fromkeys(score["method"] for score in headline.values())
    unit, units = headline["ua"]["unit"], headline["ua"]["units"]
    return [
        *_title(f"Scores in %, pooled over {count}"),
        *text_table(("", "score", "95 % interval"), rows),
        *_wrapped(
            f"95 % interval: {'; '.join(methods)}; unit: the {unit}, {units} of them."
        ),
    ]


def _caveat(audit: Mapping[str, Any]) -> list[str]:
    """A note on the intervals if the test speakers were in the training set."""
    if "speaker-dependent" not in audit.get("verdict", ""):
        return []
    return _wrapped(
        "The network was trained on these speakers: no interval here covers a new one."
    )


def _folds(run: Run, scores: Mapping[str, Any]) -> list[str]:
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
    header = ("fold", "rows", *SCORES.values(), "epoch kept (from 0)")
    table = text_table(header, rows)
    return [*_title("By fold, in %"), *table, *_wrapped(folds["note"])]


def _classes(scores: Mapping[str, Any]) -> list[str]:
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
    header = ("class", "rows", "recall", "95 % interval", "precision", "F1")
    return [*_title("By class, in %"), *text_table(header, rows), *_other_units(scores)]


def _other_units(scores: Mapping[str, Any]) -> list[str]:
    """Classes that only one speaker has: their interval is over utterances."""
    unit = scores["headline"]["ua"]["unit"]
    other = [
        f"{row['class']} ({row['recall']['unit']})"
        for row in scores["per_class"]
        if row["recall"] and row["recall"]["unit"] != unit
    ]
    if not other:
        return []
    return _wrapped(f"Unit of the intervals: the {unit}, but of {', '.join(other)}.")


def _speakers(scores: Mapping[str, Any]) -> list[str]:
    """UA and WA of each speaker; nothing if speakers are unknown."""
    speakers = scores["per_speaker"]
    if not speakers:
        return []
    rows = [
        (row["speaker"], row["n"], *_with_limits(row["ua"]), *_with_limits(row["wa"]))
        for row in speakers
    ]
    header = ("speaker", "rows", "UA", "95 % interval", "WA", "95 % interval")
    unit = speakers[0]["ua"]["unit"]
    return [
        *_title(f"By speaker, in % (intervals over the speaker's {unit}s)"),
        *text_table(header, rows),
    ]


def _exported(precisions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Short scores of the exported files beside those of the trained model."""
    if len(precisions) < 2:
        return []
    rows = [
        (source, *_percents(row), row["answers_unlike_keras"])
        for source, row in precisions.items()
    ]
    header = ("model", *SCORES.values(), "answers unlike keras")
    return [*_title("Exported models, in %"), *text_table(header, rows)]


def _audit(audit: Mapping[str, Any]) -> list[str]:
    """The lines the leak audit printed, or else its notes."""
    lines = list(audit.get("lines", ()))
    if not lines:
        lines = [line for note in audit.get("notes", ()) for line in _wrapped(note)]
    return [*_title("Leak audit"), *(lines or ["No audit recorded."])]


def _title(text: str, underline: str = "-") -> list[str]:
    return [text, underline * len(text)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _percents(row: Mapping[str, float]) -> list[str]:
    """The four scores of a row, in percent."""
    return [f"{100 * row[name]:.2f}" for name in SCORES]


def _with_limits(score: Mapping[str, Any]) -> tuple[str, str]:
    return value_text(score), limits_text(score)
