"""A user's own recordings: a CSV manifest, or a folder of class folders."""

import functools
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hyperparameters import InputError
from utils.audio.find import (
    is_hidden,
    is_recording,
    passed_over_line,
    visible_files,
)
from utils.audio.native import format_of
from utils.cli import find_spelled, normal
from utils.corpora import (
    MODULES,
    Corpus,
    corpus_by_name,
    is_named,
    is_present,
)
from utils.corpora.class_map import check_meanings
from utils.corpora.csv_manifest import read_csv
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import (
    SAFE_NAME_RULE,
    check_classes,
    count_line,
    is_safe_name,
    unique_ids,
)
from utils.corpora.templates import guess_template


def find_corpus(name: str, data_dir: Path, manifest_path: Path | None = None) -> Corpus:
    """The corpus that `-dn NAME` means, with or without `--manifest FILE`.

    Args:
        name: As in `--dataset_name`.
        data_dir: The folder that holds the corpora.
        manifest_path: A CSV manifest, or None.

    Raises:
        InputError: There is no such corpus, or a manifest is given for the name of a
            registered one.
    """
    if manifest_path is not None:
        return manifest_corpus(name, manifest_path)
    is_folder = find_spelled(data_dir, name).is_dir() or is_named(data_dir, name)
    if name not in MODULES and is_folder:
        return folder_corpus(name)
    try:
        return corpus_by_name(name)
    except InputError as error:
        raise InputError(
            f"{error}; for your own recordings give --manifest FILE.csv, or put one "
            f"folder per class into {data_dir / name}"
        ) from error


def corpora_in(data_dir: Path) -> list[str]:
    """What `-dn` may be for the corpora in a folder: published ones, class folders."""
    corpora = [corpus_by_name(name) for name in MODULES]
    found = [c.name for c in corpora if is_present(c, data_dir)]
    taken = {name for corpus in corpora for name in corpus.folder_names}
    folders = sorted(data_dir.iterdir()) if data_dir.is_dir() else []
    for folder in folders:
        is_ours = folder.name in taken or "_Segmented" in folder.name
        if is_ours or not is_safe_name(folder.name):
            continue
        if len({path.parent for path in folder.glob("*/*") if is_recording(path)}) > 1:
            found.append(folder.name)
    return found


def manifest_corpus(name: str, manifest_path: Path) -> Corpus:
    """A corpus described by a CSV manifest.

    Raises:
        InputError: The name is not usable, or there is no such file.
    """
    path = manifest_path.absolute()
    if not path.is_file():
        raise InputError(f"--manifest must be a CSV file, got {manifest_path}")
    read = functools.partial(read_csv, file_name=path.name, name=name)
    return _own_corpus(name, str(path.parent), read)  # found from any data folder


def folder_corpus(name: str) -> Corpus:
    """A corpus that is a folder of class folders inside the data folder.

    Raises:
        InputError: The name is not usable.
    """
    return _own_corpus(name, name, functools.partial(read_class_folders, name=name))


def _own_corpus(name: str, folder: str, read: Callable[[Path], Manifest]) -> Corpus:
    """A user's corpus; refuses names of registered corpora and unsafe names."""
    # Case is ignored, because some file systems find `RAVDESS` as `ravdess`.
    registered = {known.casefold(): known for known in MODULES}.get(name.casefold())
    if registered:
        raise InputError(
            f"--dataset_name {name}: did you mean {registered}? It is a published "
            "corpus; give your recordings another name"
        )
    if not is_safe_name(name):
        raise InputError(
            f"--dataset_name must be made of {SAFE_NAME_RULE}, got {name!r}"
        )
    return Corpus(
        name=name, folder_names=(folder,), read=read, converts=True, licence="your own"
    )


def read_class_folders(folder: Path, name: str) -> Manifest:
    """Read the audio and video files in class folders; classes are sorted by name.

    Args:
        folder: Holds one folder per class; only read.
        name: Name of the manifest.

    Raises:
        InputError: There are fewer than two classes, one without recordings or with
            an unusable name, two of one meaning, or folders that may be speakers.
    """
    entries = [path for path in folder.iterdir() if not is_hidden(path.name)]
    folders = sorted(path for path in entries if path.is_dir())
    classes = sorted({normal(path.name) for path in folders})
    check_classes(f"{name}: {folder}", classes)
    _check_levels(name, folder, folders)
    remedy = "put their recordings into one folder, or type " + _maker(folder)
    check_meanings(f"{name}: {folder}", classes, remedy)
    found = [(normal(f.name), path) for f in folders for path in visible_files(f)]
    files = [(label, path) for label, path in found if is_recording(path)]
    others = [path for _, path in found if not is_recording(path)]
    others += [path for path in entries if not path.is_dir()]
    ids = unique_ids(path.relative_to(folder).as_posix() for _, path in files)
    utterances = [
        Utterance(
            id=ids[path.relative_to(folder).as_posix()],
            path=path.absolute(),
            label=label,
        )
        for label, path in files
    ]
    return Manifest(
        corpus=name,
        classes=tuple(classes),
        utterances=tuple(utterances),
        info=(count_line(name, classes, utterances),),
        warnings=passed_over_line(name, others, "no recording in a class folder"),
    )


def _check_levels(name: str, folder: Path, folders: Sequence[Path]) -> None:
    """Refuse a tree whose first level may be speakers: it must not name the classes.

    Raises:
        InputError: Emotions are named elsewhere, or several first-level folders hold
            folders of the same names.
    """
    paths = [p for f in folders for p in visible_files(f) if is_recording(p)]
    names = [path.relative_to(folder).as_posix() for path in paths]
    guess = guess_template(names) if names else None
    if guess is not None and not guess.startswith("{label}/"):
        raise InputError(
            f"{name}: the folders in {folder} do not name the classes: its files look "
            f"like {guess}; type {_maker(folder)}"
        )
    below = {tuple(n.split("/")[:2]) for n in names if n.count("/") > 1}
    repeated = [low for low, n in Counter(low for _, low in below).items() if n > 1]
    if guess is None and repeated:
        raise InputError(
            f"{name}: folders named {min(repeated)} lie in several folders of "
            f"{folder}: which level names the classes? Type "
            f"{_maker(folder, '{speaker}/{label}/*')} or "
            f"{_maker(folder, '{label}/{speaker}/*')}"
        )


def _maker(folder: Path, template: str = "") -> str:
    """The command that writes a folder's manifest."""
    words = ["python", "-m", "utils.corpora.make_manifest", str(folder)]
    return shlex.join([*words, *(["--template", template] if template else [])])


def conversion_line(manifest: Manifest, sample_rate_hz: int) -> str:
    """One line on how many files of a corpus are converted while they are read.

    Args:
        manifest: Of a corpus that `converts`.
        sample_rate_hz: The rate after conversion.

    Returns:
        The line; empty if every file is a mono WAV at that rate.
    """
    wanted = ("WAV", sample_rate_hz, 1)
    count = sum(
        format_of(utterance.path) != wanted for utterance in manifest.utterances
    )
    if not count:
        return ""
    return (
        f"{manifest.corpus}: {count} of {len(manifest.utterances)} files are converted "
        f"to {sample_rate_hz} Hz mono when they are read"
    )
