"""Corpora: a reader turns a folder into a manifest, and never writes to it.

To add one, write a module with a `CORPUS` beside this file and name it in `MODULES`.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from hyperparameters import InputError
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
    """What a corpus's publisher offers for download, and what it must hold.

    Attributes:
        corpus: Name of the corpus.
        url: The official ZIP archive.
        hash_list: File with a line `SHA-256  path` for each file of the corpus, as
            `sha256sum` writes; the path inside the corpus's folder. The stem of each
            file is its utterance's id.
    """

    corpus: str
    url: str
    hash_list: Path

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by path inside the corpus's folder, such as `wav/03a01Fa.wav`."""
        lines = self.hash_list.read_text(encoding="ascii").splitlines()
        return {path: value for value, path in (line.split() for line in lines)}

    def differences(self, found: Mapping[str, str]) -> str:
        """How the files found differ from those published.

        Args:
            found: SHA-256 by utterance id.

        Returns:
            Which and how many are missing, altered or unknown, the first three of
            each by name; empty where nothing differs.
        """
        wanted = {
            PurePosixPath(path).stem: value for path, value in self.hashes.items()
        }
        altered = [
            name for name in wanted if found.get(name, wanted[name]) != wanted[name]
        ]
        kinds = {
            "missing": wanted.keys() - found.keys(),
            "altered": altered,
            "unknown": found.keys() - wanted.keys(),
        }
        return ", ".join(
            f"{len(names)} {kind} ({_first_names(names)})"
            for kind, names in kinds.items()
            if names
        )


def _first_names(names: Collection[str]) -> str:
    """The first three in order, and a sign that there are more."""
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A registry entry.

    Attributes:
        name: As in `--dataset_name`.
        folder_names: Where it may lie inside `--data_dir`, first found wins.
        read: Turns that folder into a manifest; read-only. Raises InputError.
        provide: Makes the corpus where it is missing (download, synthesis), whole or
            not at all; None where only the user can get it. Called with the folder
            to make. Raises InputError.
        archive: The official archive, against whose list every file is checked; None
            where there is no list.
        is_embedded: Synthesised by this project: kept with the derived data.
        defaults: Settings by name that replace the published ones for this corpus;
            the command line still wins.
        converts: Files at other rates, in stereo or in other formats are converted
            on the way instead of refused.
        class_map: Common name of each class that has another one here, such as
            `{"anxiety_fear": "fear"}`: what a model of one corpus is scored by on
            another (`utils.corpora.class_map`).
        how_to_get: One sentence for the message when it is missing.
        licence: Licence of the corpus, in a few words.
    """

    name: str
    folder_names: tuple[str, ...]
    read: Callable[[Path], Manifest]
    provide: Callable[[Path], None] | None = None
    archive: Archive | None = None
    is_embedded: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    converts: bool = False
    class_map: Mapping[str, str] = field(default_factory=dict)
    how_to_get: str = ""
    licence: str = ""


def corpus_by_name(name: str) -> Corpus:
    """Look a corpus up.

    Raises:
        InputError: No such corpus; names those that exist.
    """
    if name not in MODULES:
        raise InputError(
            f"--dataset_name must be one of {', '.join(MODULES)}, got {name!r}"
        )
    module = importlib.import_module(MODULES[name])
    corpus: Corpus = module.CORPUS
    return corpus


def have_same_recordings(first: str, second: str) -> bool:
    """Whether two corpora, by name, are one or are read from the same folder."""
    if first == second:
        return True
    if not {first, second} <= set(MODULES):
        return False
    return bool(
        set(corpus_by_name(first).folder_names)
        & set(corpus_by_name(second).folder_names)
    )


def load_manifest(
    corpus: Corpus, data_dir: Path, derived_dir: Path, *, accept_altered: bool = False
) -> Manifest:
    """Find a corpus, making it where it can be made, read it and check its files.

    Args:
        corpus: Registry entry.
        data_dir: The folder that holds the corpora (`--data_dir`).
        derived_dir: The project's own data folder; an embedded corpus is made there.
        accept_altered: Go on with files that differ from the published ones; the
            manifest's warnings then say which.

    Raises:
        InputError: Not there and not to be made, or damaged.
    """
    home = derived_dir if corpus.is_embedded else data_dir
    folders = [home / name for name in corpus.folder_names]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    if not folder.is_dir():
        if corpus.provide is None:
            raise InputError(
                f"{corpus.name} not found: {folder} is missing. {corpus.how_to_get}"
            )
        corpus.provide(folder)
    manifest = corpus.read(folder)
    if corpus.archive is None:
        return manifest
    differences = corpus.archive.differences(manifest.content_hashes)
    if not differences:
        return manifest
    line = f"{corpus.name} in {folder} differs from the published files: {differences}"
    if not accept_altered:
        raise InputError(
            f"{line}; remove the folder to have it made anew, or give "
            "--accept_altered to go on with these files"
        )
    return dataclasses.replace(manifest, warnings=(*manifest.warnings, line))
