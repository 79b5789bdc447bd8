"""A corpus as a list of utterances with label, speaker, session, part, sentence."""

import functools
import itertools
import stat
from dataclasses import dataclass
from pathlib import Path

from hyperparameters import InputError
from utils.cli import printable
from utils.files import json_sha256, sha256


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One labelled recording, with all that the corpus states about it.

    Attributes:
        id: Unique in the corpus; usually the file's stem.
        path: The audio file.
        label: One of the manifest's classes.
        speaker: The corpus's code of the speaker; None if unknown.
        sentence: The corpus's code of the text spoken; None if unknown.
        part: `impro` or `script`; None if the corpus has no parts.
        session: Recording session; None if the corpus has none.
    """

    id: str
    path: Path
    label: str
    speaker: str | None = None
    sentence: str | None = None
    part: str | None = None
    session: str | None = None

    @property
    def voice(self) -> str:
        """The speaker; an utterance without speaker has a voice of its own."""
        return self.speaker or self.id


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The utterances and classes of a corpus.

    Attributes:
        corpus: Name, as in `--dataset_name`; file names of a run start with it.
        classes: Class names in the order of the network's outputs.
        utterances: Sorted by id, so that no result depends on a directory listing.
        info: Lines on what was found, always printed; control characters of file and
            column names are escaped.
        warnings: Lines on what is missing or was passed over, for the user; likewise.
        note: A sentence that every report on this corpus must contain.

    Raises:
        InputError: There is no utterance, or an id twice, an unknown label, a class
            without utterance, or a path that is a folder, pipe or device.
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
        for name in ("info", "warnings"):
            lines = tuple(printable(line) for line in getattr(self, name))
            object.__setattr__(self, name, lines)
        for utterance in ordered:
            if _is_special(utterance.path):
                raise InputError(
                    f"{self.corpus}: {utterance.path} is a folder, pipe or device; "
                    "remove it"
                )
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
            InputError: A file cannot be read.
        """
        try:
            return {u.id: sha256(u.path) for u in self.utterances}
        except OSError as error:
            raise InputError(
                f"{self.corpus}: {error.filename} cannot be read ({error.strerror})"
            ) from error

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the classes and, per utterance, all but the path."""
        hashes = self.content_hashes
        rows = [
            [u.id, u.label, u.speaker, u.sentence, u.part, u.session, hashes[u.id]]
            for u in self.utterances
        ]
        return json_sha256([self.classes, rows])


def _is_special(path: Path) -> bool:
    """Whether a path exists and is no regular file; reading it might never end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # missing files are reported when they are read
        return False
