"""The text of a run's report, section by section; nothing is computed here."""

import textwrap
from collections.abc import Mapping
from typing import Any

from hyperparameters import to_flat
from utils.protocols.folds import PROTOCOLS
from utils.runs.folder import settings_of
from utils.runs.records import Run
from utils.scores.metrics import SCORES
from utils.tables import text_table

WIDTH = 88
LABEL_WIDTH = 12  # of the header's left column
NO_SCORE = "No score, by design: every utterance trains, none is left to test."
Figure = Mapping[str, Any]  # value, low, high, method, unit, units


def report_text(run: Run, metrics: Mapping[str, Any]) -> str:
    """The whole report.

    Args:
        run: A run, complete or not.
        metrics: As from `utils.report.render.metrics_of`.

    Returns:
        Text of several sections, a newline at the end.
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
    """What a reader of a partial run must know first."""
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
    """Verdict, corpus, protocol, settings, and what it takes to do it again."""
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
    title = f"Light-SERNet on {corpus['name']}"
    lines = [title, "=" * len(title)]
    for label, text in rows.items():
        lines += _labelled(label, text)
    return lines


def _provenance(run: Run) -> dict[str, str]:
    """Command, commit, versions, machine and time; several where the folds differ."""
    seconds = sum(record.get("seconds", 0.0) for record in run.records)
    cpu_seconds = sum(record.get("cpu_seconds", 0.0) for record in run.records)
    times = sorted(record["time"] for record in run.records if record.get("time"))
    versions = (
        ", ".join(f"{name} {version}" for name, version in said.items())
        for said in _said(run, "versions")
    )
    return {
        "Command": "; ".join(_said(run, "command")),
        "Commit": "; ".join(_said(run, "commit")),
        "Versions": "; ".join(versions),
        "Machine": "; ".join(_said(run, "machine")),
        "Computed by": "; ".join(", ".join(said) for said in _conditions(run)),
        "Finished": times[-1] if times else "",
        "Took": f"{seconds:,.0f} s over the folds, {cpu_seconds:,.0f} CPU-seconds",
    }


def _said(run: Run, key: str) -> list[Any]:
    """The distinct entries of the records, in the order of the folds."""
    found: list[Any] = []
    for record in run.records:
        if record.get(key) and record[key] not in found:
            found.append(record[key])
    return found


def _conditions(run: Run) -> list[tuple[str, ...]]:
    """Backend, device and threads of the folds, each combination once."""
    found: list[tuple[str, ...]] = []
    for record in run.records:
        if "backend" not in record:  # written before records said so
            continue
        threads = f"threads: {record['threads']}" if record["threads"] else "all cores"
        said = (record["backend"], record["device"], threads)
        if said not in found:
            found.append(said)
    return found


def _labelled(label: str, text: str) -> list[str]:
    """A row of the header, wrapped beside its label; nothing for an empty text."""
    indent = " " * LABEL_WIDTH
    first = f"{label:<{LABEL_WIDTH}}"
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent)


def _classification(run: Run) -> list[str]:
    """scikit-learn's classification report with 4 digits, as the original wrote it."""
    rows = run.rows()
    from sklearn.metrics import classification_report  # takes a second to import

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
    """UA, WA and both F1 over all rows, with the headline and reference intervals."""
    headline, others = scores["headline"], scores.get("reference_intervals", ())
    rows = [
        (
            label,
            _value(headline[name]),
            _limits(headline[name]),
            *(_bracket(other["low"][name], other["high"][name]) for other in others),
        )
        for name, label in SCORES.items()
    ]
    count = f"{scores['n']:,} test rows"
    if scores["utterances"] != scores["n"]:
        count += f" ({scores['utterances']:,} utterances, some in several test sets)"
    header = ("", "score", "95 % interval", *(f"by {o['unit']}s*" for o in others))
    methods = dict.fromkeys(figure["method"] for figure in headline.values())
    unit = headline["ua"]["unit"]
    lines = _title(f"Scores in %, pooled over {count}")
    lines += text_table(header, rows)
    lines += _wrapped(
        f"95 % interval: {'; '.join(methods)}; unit: the {unit}, "
        f"{headline['ua']['units']} of them."
    )
    if others:
        methods = dict.fromkeys(other["method"] for other in others)
        lines += _wrapped(f"* {'; '.join(methods)}.")
    return lines


def _caveat(audit: Mapping[str, Any]) -> list[str]:
    """What no interval covers where the test speakers were trained on."""
    if "speaker-dependent" not in audit.get("verdict", ""):
        return []
    return _wrapped(
        "The network has heard these speakers: no interval here covers a new one."
    )


def _folds(run: Run, scores: Mapping[str, Any]) -> list[str]:
    """Each fold's scores and kept epoch; mean and standard deviation."""
    epochs = {r["fold"]: r.get("epoch_kept", "") for r in run.records}
    folds = scores["folds"]
    rows: list[tuple[Any, ...]] = [
        (
            row["fold"],
            row["n"],
            *(f"{100 * row[name]:.2f}" for name in SCORES),
            epochs[row["fold"]],
        )
        for row in folds["scores"]
    ]
    rows.append(("mean", "", *(f"{100 * folds['mean'][k]:.2f}" for k in SCORES), ""))
    if folds["sd"]["ua"] is not None:
        rows.append(("sd", "", *(f"{100 * folds['sd'][k]:.2f}" for k in SCORES), ""))
    header = ("fold", "rows", *SCORES.values(), "epoch kept (from 0)")
    table = text_table(header, rows)
    return [*_title("By fold, in %"), *table, *_wrapped(folds["note"])]


def _classes(scores: Mapping[str, Any]) -> list[str]:
    """Recall with interval, precision and F1 of each class."""
    rows = [
        (
            row["class"],
            row["support"],
            _value(row["recall"]) if row["recall"] else "not tested",
            _limits(row["recall"]) if row["recall"] else "",
            "" if row["precision"] is None else f"{100 * row['precision']:.2f}",
            f"{100 * row['f1']:.2f}",
        )
        for row in scores["per_class"]
    ]
    header = ("class", "rows", "recall", "95 % interval", "precision", "F1")
    return [*_title("By class, in %"), *text_table(header, rows), *_other_units(scores)]


def _other_units(scores: Mapping[str, Any]) -> list[str]:
    """Classes whose interval has another unit, since one speaker alone has them."""
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
    """UA and WA of each speaker; nothing where speakers are unknown."""
    if not scores["per_speaker"]:
        return []
    rows = [
        (
            row["speaker"],
            row["n"],
            *(_value(row["ua"]), _limits(row["ua"])),
            *(_value(row["wa"]), _limits(row["wa"])),
        )
        for row in scores["per_speaker"]
    ]
    header = ("speaker", "rows", "UA", "95 % interval", "WA", "95 % interval")
    unit = scores["per_speaker"][0]["ua"]["unit"]
    return [
        *_title(f"By speaker, in % (intervals over the speaker's {unit}s)"),
        *text_table(header, rows),
    ]


def _exported(precisions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Short scores of the exported files beside the trained model's."""
    if len(precisions) < 2:
        return []
    rows = [
        (source, *(f"{100 * row[k]:.2f}" for k in SCORES), row["answers_unlike_keras"])
        for source, row in precisions.items()
    ]
    header = ("model", *SCORES.values(), "answers unlike keras")
    return [*_title("Exported models, in %"), *text_table(header, rows)]


def _audit(audit: Mapping[str, Any]) -> list[str]:
    """The leak audit as it printed itself, and its notes where it did not."""
    lines = list(audit.get("lines", ()))
    if not lines:
        lines = [line for note in audit.get("notes", ()) for line in _wrapped(note)]
    return [*_title("Leak audit"), *(lines or ["No audit recorded."])]


def _title(text: str) -> list[str]:
    return [text, "-" * len(text)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def _value(figure: Figure) -> str:
    return f"{100 * figure['value']:.2f}"


def _limits(figure: Figure) -> str:
    return _bracket(figure["low"], figure["high"])


def _bracket(low: float, high: float) -> str:
    return f"[{100 * low:.2f}, {100 * high:.2f}]"
