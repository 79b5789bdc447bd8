"""The model files at the top of a run folder: one fold's, with the run's scores."""

from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.files import write_atomic
from utils.model_files.linear import LINEAR_SUFFIX
from utils.model_files.metadata import attach_metadata, read_metadata, without_metadata
from utils.model_files.tflite import NAMES, file_name
from utils.runs.folder import fold_folder
from utils.runs.records import Run, chosen_fold


def place_models(run: Run, scores: dict[str, Any]) -> list[Path]:
    """Copy the chosen fold's TFLite files and linear model to the top of the run.

    Keep a file the chosen fold does not have, and note in its metadata that it comes
    from another fold.

    Args:
        run: A run, complete or not.
        scores: From `utils.scores.metrics.summary`; its headline goes into each file.

    Returns:
        The files written.
    """
    number, why = chosen_fold(run)
    stem, written = run.file_stem, []
    for name in NAMES:
        target = run.folder / file_name(stem, name)
        from_fold = fold_folder(run.folder, number) / target.name
        source = from_fold if from_fold.exists() else target
        metadata = _metadata_of(source)
        if metadata is None or (source is target and not _is_of(run, metadata)):
            continue
        is_chosen = metadata.get("fold") == number
        stands = f"chosen before; fold {number} stands for the run now"
        metadata["fold_chosen_for"] = why if is_chosen else stands
        metadata["scores"] = short_scores(run, scores)
        content = without_metadata(source.read_bytes())
        write_atomic(target, attach_metadata(content, metadata))
        written.append(target)
    linear = fold_folder(run.folder, number) / f"{stem}{LINEAR_SUFFIX}"
    if linear.is_file():
        written.append(run.folder / linear.name)
        write_atomic(written[-1], linear.read_bytes())
    return written


def _metadata_of(path: Path) -> dict[str, Any] | None:
    """Metadata of a model file; None if there is no readable file."""
    try:
        return read_metadata(path) if path.exists() else None
    except InputError:
        return None


def _is_of(run: Run, metadata: dict[str, Any]) -> bool:
    """Whether a model file comes from a run."""
    return bool(metadata.get("run") == run.folder.resolve().name)


def short_scores(run: Run, scores: dict[str, Any]) -> dict[str, Any] | None:
    """The run's pooled Keras scores with intervals; None if nothing was tested."""
    if "headline" not in scores:
        return None
    folds = run.progress.removesuffix(" folds")
    return {"verdict": run.verdict, "folds": folds, **scores["headline"]}
