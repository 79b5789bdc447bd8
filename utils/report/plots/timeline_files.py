"""Timelines of recordings, drawn into one file or into a folder."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.audio.decode import blocks
from utils.cli import printable
from utils.inference.classify import Answer, Refusal
from utils.inference.sources import Source
from utils.pictures import save
from utils.report.plots.timeline import envelope, timeline_figure

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def is_folder(target: Path) -> bool:
    """Whether pictures go into `target`, one per recording."""
    return target.is_dir() or not target.suffix


def picture_paths(sources: Sequence[Source], target: Path) -> list[Path]:
    """The picture of each recording.

    Args:
        sources: The recordings.
        target: A file; or a folder, where the pictures get the recordings' names, the
            second of one name a number.

    Raises:
        InputError: Several recordings and one file, `target` is no folder, or a picture
            would replace a recording.
    """
    if not is_folder(target):
        if len(sources) > 1:
            raise InputError(
                f"--plot {printable(target)} is one picture for {len(sources)} "
                "recordings: name a folder, and each of them gets its own"
            )
        return _checked([target], sources)
    if target.exists() and not target.is_dir():
        raise InputError(f"--plot {printable(target)}: this file is no folder")
    paths: dict[str, Path] = {}  # by what a disk without upper and lower case sees
    for source in sources:
        stem, number = source.path.stem, 1
        name = stem
        while name.casefold() in paths:
            number += 1
            name = f"{stem}-{number}"
        paths[name.casefold()] = target / f"{name}.png"
    return _checked(list(paths.values()), sources)


def _checked(pictures: list[Path], sources: Sequence[Source]) -> list[Path]:
    """The same pictures; none of them is one of the recordings."""
    recordings = {_identity(source.path) for source in sources} - {None}
    for picture in pictures:
        if _identity(picture) in recordings:
            raise InputError(
                f"--plot: the picture {printable(picture)} would replace a recording; "
                "name another file or folder"
            )
    return pictures


def _identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file share; None without a file."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # \0 in the name
        return None
    return found.st_dev, found.st_ino


def draw_timelines(
    results: Sequence[Answer | Refusal],
    sources: Sequence[Source],
    pictures: Sequence[Path],
    *,
    classes: Sequence[str],
    rate_hz: int,
    progress: Progress = iter,
) -> None:
    """Draw the timeline of each recording that was classified.

    Args:
        results: With spans; one per source.
        sources: The recordings.
        pictures: From `picture_paths`; the suffix is the format.
        classes: Class names of the model.
        rate_hz: Of the model.
        progress: Wraps the loop over recordings, as tqdm does.

    Raises:
        OSError: A recording cannot be read, or a picture not written.
    """
    for result, source, target in progress(
        list(zip(results, sources, pictures, strict=True))
    ):
        if isinstance(result, Answer):
            samples = round(result.duration_s * rate_hz)
            extremes = envelope(blocks(source.path, rate_hz), samples)
            figure = timeline_figure(result, classes, extremes)
            save(figure, target.with_suffix(""), [target.suffix[1:]])
