"""How often a model is right for a voice that it was not trained on.

A model trained on every utterance has no score of its own. What to expect is the score
of a speaker-independent run of the same network with the same settings.
"""

from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.audio.prepare import CENTRE
from utils.cli import printable
from utils.files import write_atomic
from utils.model_files.metadata import attach_metadata, read_described, without_metadata
from utils.runs.json_files import fits, read_object

METRICS_NAME = "metrics.json"
LIMITS = ("value", "low", "high")
REQUIRED = {
    "protocol": str,
    "settings": dict,
    "corpus": dict,
    "audit": dict,
    "keras": dict,
}
COUNTS = ("none", "1", "3", "5", "10", "20")  # of recordings that set the scale
SHARED = ("audio_type", "loss_name", "epochs")  # by the models and the run
TEXT = (
    "For a new voice recorded as in {corpus}, expect {wa} of the answers to be right "
    "(WA, weighted accuracy) and {ua} on average over the classes (UA, unweighted "
    "accuracy). Measured with protocol {protocol}, {select} epoch: the same network "
    "was trained with the same settings once per speaker, without that speaker, and "
    "tested on that speaker; {speakers} speakers, {utterances} utterances. Square "
    "brackets: 95 % intervals."
)


def new_voice_scores(run: Path) -> dict[str, Any]:
    """Scores of a complete speaker-independent run, for the metadata of a model.

    Args:
        run: Run folder, or its record under `reproduction/`, with `metrics.json`.

    Returns:
        JSON-serialisable: `text` for people; `ua` and `wa`, each with `value`, `low`
        and `high` (shares; 95 % interval over speakers); `protocol`, `select`,
        `corpus`, `speakers`, `utterances`, `run`. If features are scaled to the voice,
        `right`: the shares of right answers (WA) by system and by the number of known
        recordings of the voice.

    Raises:
        InputError: `metrics.json` is damaged, or of an incomplete or speaker-dependent
            run.
    """
    metrics = read_object(run / METRICS_NAME, REQUIRED)
    keras, verdict = metrics["keras"], str(metrics["audit"].get("verdict"))
    if not (verdict.startswith("speaker-independent") and keras.get("complete")):
        raise InputError(
            f"{run}: must be a complete speaker-independent run, such as one with "
            f"--protocol speaker; got protocol {metrics['protocol']} ({verdict})"
        )
    right: dict[str, dict[str, float]] = {}
    try:
        scores = {k: {n: keras["headline"][k][n] for n in LIMITS} for k in ("ua", "wa")}
        facts = {
            "protocol": metrics["protocol"],
            "select": metrics["settings"]["select"],
            "corpus": metrics["corpus"]["name"],
            "speakers": keras["speakers"],
            "utterances": keras["utterances"],
            "run": run.resolve().name,
        }
        if not fits([scores[k][n] for k in scores for n in LIMITS], [float]):
            raise ValueError
        for line in metrics.get("known_voice_scores", []):
            if line["recordings"] in COUNTS:
                of_system = right.setdefault(line["system"], {})
                of_system[line["recordings"]] = round(line["wa"]["value"], 4)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run / METRICS_NAME}: is damaged; write it again with `python -m "
            f"utils.report {run}`"
        ) from error
    shown = {
        name: "{value:.1f} % [{low:.1f}, {high:.1f}]".format(
            **{limit: 100 * share for limit, share in score.items()}
        )
        for name, score in scores.items()
    }
    extra = {"right": right} if right else {}
    return {"text": TEXT.format(**facts, **shown), **scores, **facts, **extra}


def expectation(scores: Any, *, recordings: int, has_linear: bool) -> str:
    """How often the answers are right, in one line; empty if the model does not say.

    Args:
        scores: `new_voice` of a model's metadata, from anywhere.
        recordings: How many recordings of the voice set the scale.
        has_linear: Whether a linear model answers beside the network.
    """
    try:
        right = scores["right"]["mean of both" if has_linear else "network"]
        shares = [float(right[count]) for count in COUNTS]
        corpus = printable(scores["corpus"])
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ""
    known = dict(zip((0, *map(int, COUNTS[1:])), shares, strict=True))
    if recordings:
        count = max(number for number in known if number <= recordings)
        recorded = "recording" if count == 1 else "recordings"
        return (
            f"for a voice known from {count} {recorded}, as in {corpus}, "
            f"{known[count]:.0%} of answers are right"
        )
    return (
        f"for a new voice as in {corpus}, {known[0]:.0%} of answers are right; "
        f"{known[10]:.0%} once 10 recordings of it are known (--calibrate)"
    )


def record_new_voice(folder: Path, run: Path) -> None:
    """Write a run's scores into the metadata of the models with its settings.

    Args:
        folder: Folder with `.tflite` files.
        run: As for `new_voice_scores`.

    Raises:
        InputError: The run cannot be used, or no model was trained with its settings.
    """
    scores = new_voice_scores(run)
    older = {"rooms": 0}  # metrics of older versions do not say
    settings = older | read_object(run / METRICS_NAME, REQUIRED)["settings"]
    unlike: list[str] = []
    paths = sorted(folder.glob("*.tflite"))
    for path in paths:
        metadata = read_described(path, ("corpus", *SHARED))
        trained = {**metadata["front_end"], "dataset_name": metadata["corpus"]["name"]}
        trained |= {key: metadata[key] for key in SHARED}
        trained["segment_mode"] = metadata.get("segment_mode", CENTRE)
        trained["rooms"] = metadata.get("rooms", 0)
        differing = [key for key in trained if trained[key] != settings.get(key)]
        is_scaled = settings.get("feature_scaling", "none") != "none"
        if is_scaled != bool(metadata.get("voices")):
            differing.append("feature_scaling")
        if differing:
            unlike.append(f"{path}: was trained with another {', '.join(differing)}")
            continue
        content = without_metadata(path.read_bytes())
        write_atomic(path, attach_metadata(content, metadata | {"new_voice": scores}))
    if len(unlike) == len(paths):
        raise InputError(f"{unlike[0]} than {run}" if unlike else f"{folder}: no model")
