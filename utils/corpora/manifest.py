"""A corpus as a list of utterances: label, speaker, session, part and sentence."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

from hyperparameters import InputError
from utils.files import json_sha256, sha256


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
        info: One line each, always shown: what was found.
        warnings: One line each, for the user: what is missing or was passed over.
        note: What every report on this corpus must say of it.

    Raises:
        InputError: No utterance, an id twice, an unknown label, a class without
            utterance.
    """

    corpus: str
    classes: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    info: tuple[str, ...] = ()
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
        """SHA-256 of each file's bytes, by utterance id.

        Raises:
            InputError: A file can't be read.
        """
        try:
            return {u.id: sha256(u.path) for u in self.utterances}
        except OSError as error:
            raise InputError(
                f"{self.corpus}: {error.filename} cannot be read ({error.strerror})"
            ) from error

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over ids, labels, speakers, parts and contents; not over paths."""
        hashes = self.content_hashes
        rows = [
            [u.id, u.label, u.speaker, u.sentence, u.part, u.session, hashes[u.id]]
            for u in self.utterances
        ]
        return json_sha256([self.classes, rows])
