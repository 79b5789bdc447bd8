"""Corpora: a reader turns a folder into a manifest, and never writes to it.

To add one, write a module with a `CORPUS` beside this file and name it in `MODULES`.
"""

import functools
import importlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.files import digest, sha256

MODULES = {
    "DEMO": "utils.corpora.demo",
    "EMO-DB": "utils.corpora.emo_db",
}


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One labelled recording. What the original file name tells is kept here.

    Attributes:
        id: Unique in the corpus; usually the file's stem.
        path: The audio file.
        label: One of the manifest's classes.
        speaker: Who speaks; None where unknown.
        sentence: The text spoken, by the corpus's own code; None where unknown.
        part: `impro` or `script`; None where the corpus has no parts.
        session: Recording session; None where the corpus has none.
    """

    id: str
    path: Path
    label: str
    speaker: str | None = None
    sentence: str | None = None
    part: str | None = None
    session: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The utterances of a corpus, sorted by id, and its classes in their one order.

    Attributes:
        corpus: Name, as in `--dataset_name`; leads every file name of a run.
        classes: Class names; the index in this tuple is the network's output.
        utterances: Sorted by id, so that no result depends on a directory listing.
        warnings: One line each, for the user: what is missing or was passed over.
        note: What every report on this corpus must say of it.

    Raises:
        InputError: No utterance, an id twice, an unknown label, a class without
            utterance.
    """

    corpus: str
    classes: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    warnings: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not self.utterances:
            raise InputError(f"{self.corpus}: no utterances found")
        ordered = tuple(sorted(self.utterances, key=lambda utterance: utterance.id))
        object.__setattr__(self, "utterances", ordered)
        for left, right in itertools.pairwise(ordered):
            if left.id == right.id:
                raise InputError(
                    f"{self.corpus}: two files are called {left.id}: "
                    f"{left.path} and {right.path}"
                )
        labels = {utterance.label for utterance in ordered}
        if unknown := sorted(labels - set(self.classes)):
            raise InputError(
                f"{self.corpus}: unknown label {unknown[0]!r}; classes are "
                f"{', '.join(self.classes)}"
            )
        if absent := [name for name in self.classes if name not in labels]:
            raise InputError(
                f"{self.corpus}: no utterance of class {', '.join(absent)}; every one "
                f"of {', '.join(self.classes)} is needed to train"
            )

    @functools.cached_property
    def content_hashes(self) -> dict[str, str]:
        """SHA-256 of each file's bytes, by utterance id."""
        return {u.id: sha256(u.path) for u in self.utterances}

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over ids, labels, speakers, parts and contents; not over paths."""
        hashes = self.content_hashes
        rows = [
            [u.id, u.label, u.speaker, u.sentence, u.part, u.session, hashes[u.id]]
            for u in self.utterances
        ]
        return digest([self.classes, rows])


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
        is_embedded: Synthesised by this project: kept with the derived data.
        defaults: Settings by name that replace the published ones for this corpus;
            the command line still wins.
        converts: Files at other rates, in stereo or in other formats are converted
            on the way instead of refused.
        how_to_get: One sentence for the message when it is missing.
        licence: Licence of the corpus, in a few words.
    """

    name: str
    folder_names: tuple[str, ...]
    read: Callable[[Path], Manifest]
    provide: Callable[[Path], None] | None = None
    is_embedded: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    converts: bool = False
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


def load_manifest(corpus: Corpus, data_dir: Path, derived_dir: Path) -> Manifest:
    """Find a corpus, making it where it can be made, and read it.

    Args:
        corpus: Registry entry.
        data_dir: The folder that holds the corpora (`--data_dir`).
        derived_dir: The project's own data folder; an embedded corpus is made there.

    Raises:
        InputError: Not there and not to be made, or damaged.
    """
    home = derived_dir if corpus.is_embedded else data_dir
    for folder_name in corpus.folder_names:
        if (home / folder_name).is_dir():
            return corpus.read(home / folder_name)
    folder = home / corpus.folder_names[0]
    if corpus.provide is None:
        raise InputError(
            f"{corpus.name} not found: {folder} is missing. {corpus.how_to_get}"
        )
    corpus.provide(folder)
    return corpus.read(folder)
