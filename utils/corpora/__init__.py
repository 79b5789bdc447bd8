"""The registered corpora. A reader turns a corpus's folder into a manifest.

To add a corpus, write a module with a `CORPUS` in this folder and name it in `MODULES`.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from hyperparameters import InputError
from utils.cli import did_you_mean, find_spelled
from utils.corpora.manifest import Manifest

MODULES = {
    "DEMO": "utils.corpora.demo",
    "EMO-DB": "utils.corpora.emo_db",
    "IEMOCAP": "utils.corpora.iemocap",
    "IEMOCAP-HAPPINESS": "utils.corpora.iemocap_happiness",
    "RAVDESS": "utils.corpora.ravdess",
    "CREMA-D": "utils.corpora.crema_d",
    "TESS": "utils.corpora.tess",
    "SAVEE": "utils.corpora.savee",
}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A corpus's official archive and the files that it must hold.

    Attributes:
        corpus: Name of the corpus.
        url: Address of the ZIP archive.
        hash_list: File with one line `SHA-256  path` per file of the corpus, as
            `sha256sum` writes them. Paths start in the corpus's folder; the stem of
            each is an utterance id.
    """

    corpus: str
    url: str
    hash_list: Path

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by path inside the corpus's folder, such as `wav/03a01Fa.wav`."""
        lines = self.hash_list.read_text(encoding="ascii").splitlines()
        return {path: value for value, path in (line.split() for line in lines)}

    def is_in(self, folder: Path) -> bool:
        """Whether a folder, or its subfolders as published, hold any of the files."""
        paths = [PurePosixPath(path) for path in self.hashes]
        return any((folder / name).is_file() for p in paths for name in (p, p.name))

    def differences(self, found: Mapping[str, str]) -> str:
        """Compare files with the published ones.

        Args:
            found: SHA-256 by utterance id.

        Returns:
            How many files are missing, altered or unknown, with the first three names
            of each; empty if none.
        """
        published = {
            PurePosixPath(path).stem: value for path, value in self.hashes.items()
        }
        both = published.keys() & found.keys()
        kinds = {
            "missing": published.keys() - found.keys(),
            "altered": [name for name in both if found[name] != published[name]],
            "unknown": found.keys() - published.keys(),
        }
        return ", ".join(
            f"{len(names)} {kind} ({_first_names(names)})"
            for kind, names in kinds.items()
            if names
        )


def _first_names(names: Collection[str]) -> str:
    """The first three names in order, and `...` if there are more."""
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A registry entry.

    Attributes:
        name: As in `--dataset_name`.
        folder_names: Possible folders in `--data_dir`; the first that exists is read.
        read: Reads that folder into a manifest without writing. Raises InputError.
        fetch: Downloads the corpus into the folder given, whole or not at all; None if
            only the user can get it. Raises InputError.
        archive: The official archive, whose list every file is checked against; None
            if there is no list.
        defaults: Settings by name that replace the published ones for this corpus;
            the command line overrides them.
        converts: Whether files in stereo, at other rates or in other formats are
            converted while they are read; False refuses them.
        class_map: Common name of each class that has another one here, such as
            `{"anxiety_fear": "fear"}`, to score models on other corpora
            (`utils.corpora.class_map`).
        how_to_get: One sentence for the message that the corpus is missing.
        licence: Licence of the corpus, in a few words.
    """

    name: str
    folder_names: tuple[str, ...]
    read: Callable[[Path], Manifest]
    fetch: Callable[[Path], None] | None = None
    archive: Archive | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    converts: bool = False
    class_map: Mapping[str, str] = field(default_factory=dict)
    how_to_get: str = ""
    licence: str = ""


def corpus_by_name(name: str) -> Corpus:
    """A registered corpus.

    Raises:
        InputError: No corpus has this name.
    """
    if name not in MODULES:
        raise InputError(
            f"--dataset_name must be one of {', '.join(MODULES)}, got {name!r}"
            f"{did_you_mean(name, MODULES)}"
        )
    module = importlib.import_module(MODULES[name])
    corpus: Corpus = module.CORPUS
    return corpus


def have_same_recordings(first: str, second: str) -> bool:
    """Whether two corpus names mean the same corpus or are read from one folder."""
    if first == second:
        return True
    if not {first, second} <= set(MODULES):
        return False
    return bool(
        set(corpus_by_name(first).folder_names)
        & set(corpus_by_name(second).folder_names)
    )


def is_present(corpus: Corpus, data_dir: Path) -> bool:
    """Whether a corpus lies in a folder, or is this folder; not one of the program."""
    folder = _folder_of(corpus, data_dir)
    return folder.is_dir() and not Path(corpus.folder_names[0]).is_absolute()


def is_named(folder: Path, *names: str) -> bool:
    """Whether a folder has one of these names."""
    return folder.is_dir() and folder.absolute().name in names


def _folder_of(corpus: Corpus, data_dir: Path) -> Path:
    """A corpus's folder in `data_dir`, or `data_dir` if that is the corpus itself."""
    folders = [find_spelled(data_dir, name) for name in corpus.folder_names]
    if found := [folder for folder in folders if folder.is_dir()]:
        return found[0]
    archive = corpus.archive
    is_itself = (
        archive.is_in(data_dir) if archive else is_named(data_dir, *corpus.folder_names)
    )
    return data_dir if is_itself else folders[0]


def load_manifest(
    corpus: Corpus, data_dir: Path, *, accept_altered: bool = False
) -> Manifest:
    """Read a corpus and check its files; download it first if it is missing.

    Args:
        corpus: Registry entry.
        data_dir: The folder that holds the corpora (`--data_dir`), or the corpus.
        accept_altered: Accept files that differ from the published ones; the
            manifest's warnings then list them.

    Raises:
        InputError: The corpus is missing and cannot be downloaded, or is damaged.
    """
    folder = _folder_of(corpus, data_dir)
    if not folder.is_dir():
        if corpus.fetch is None:
            raise InputError(
                f"{corpus.name} not found: {folder} is missing. {corpus.how_to_get}"
            )
        corpus.fetch(folder)
    manifest = corpus.read(folder)
    if corpus.archive is None:
        return manifest
    differences = corpus.archive.differences(manifest.content_hashes)
    if not differences:
        return manifest
    line = f"{corpus.name} in {folder} differs from the published files: {differences}"
    if not accept_altered:
        raise InputError(
            f"{line}; remove the folder to have it downloaded again, or give "
            "--accept_altered to use these files"
        )
    return dataclasses.replace(manifest, warnings=(*manifest.warnings, line))
