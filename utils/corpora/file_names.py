"""Corpora whose files' names hold label, speaker and sentence."""

import filecmp
import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils.audio.find import WAV_ONLY, audio_files, passed_over_line
from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import compare_counts


def _stem(path: Path) -> str:
    return path.stem


@dataclass(frozen=True, kw_only=True)
class NamingScheme:
    """What the file names of a corpus say.

    Attributes:
        pattern: Regular expression for a whole name without suffix; its groups are
            `emotion`, `speaker` and `sentence`.
        emotions: Class and documented number of utterances by value of `emotion`, in
            the order of the classes.
        example: A file name, for error messages.
        name_of: Returns the name to match, which is also the utterance's id.
        speakers: Speaker by value of `speaker`; values that are not in it are speakers.
        other_files: Regular expression for names of files that belong to the corpus
            but not to the speech to be recognised; they are passed over.
        suffixes: Suffixes of the recordings, in lower case; other files are ignored.
        note: A sentence that every report on this corpus must contain.
    """

    pattern: str
    emotions: Mapping[str, tuple[str, int]]
    example: str
    name_of: Callable[[Path], str] = _stem
    speakers: Mapping[str, str] = field(default_factory=dict)
    other_files: str | None = None
    suffixes: Collection[str] = WAV_ONLY
    note: str = ""

    def corpus(self, name: str, **fields: Any) -> Corpus:
        """The registry entry of a corpus with these names.

        Args:
            name: As in `--dataset_name`.
            **fields: Of `Corpus`. Defaults: the folder has the corpus's name, and
                files in other formats are converted.
        """
        read = functools.partial(self.read, name=name)
        defaults = {"folder_names": (name,), "converts": True, "read": read}
        return Corpus(name=name, **{**defaults, **fields})

    def read(self, folder: Path, *, name: str) -> Manifest:
        """Read the recordings of a folder tree.

        Args:
            folder: The corpus; only read.
            name: Name of the corpus.

        Returns:
            Manifest with the counts in `info`, and in `warnings` what was passed over.

        Raises:
            InputError: No recording, a name that fits no class, or two files of one
                name with different contents.
        """
        by_id: dict[str, Utterance] = {}
        clashing, copies, others = [], [], []
        for path in audio_files(folder, self.suffixes):
            utterance = self._utterance(path, name)
            if utterance is None:
                others.append(path)
                continue
            first = by_id.setdefault(utterance.id, utterance)
            if first is utterance:
                continue
            if filecmp.cmp(path, first.path, shallow=False):
                copies.append(path)  # archives of RAVDESS and TESS hold the tree twice
            else:
                clashing.append(utterance)  # Manifest names both files
        if not by_id:
            suffixes = " or ".join(self.suffixes)
            raise InputError(
                f"{name}: no {suffixes} file in {folder}; expected the corpus's files, "
                f"such as {self.example}"
            )
        utterances = (*by_id.values(), *clashing)
        documented = dict(self.emotions.values())
        info, warnings = compare_counts(name, utterances, documented)
        return Manifest(
            corpus=name,
            classes=tuple(documented),
            utterances=utterances,
            info=info,
            warnings=(
                *warnings,
                *passed_over_line(name, others, "not part of its speech"),
                *passed_over_line(name, copies, "duplicates of other files"),
            ),
            note=self.note,
        )

    def _utterance(self, path: Path, corpus: str) -> Utterance | None:
        """What one name says; None if the file is not speech to be recognised."""
        name = self.name_of(path)
        if self.other_files and re.fullmatch(self.other_files, name):
            return None
        match = re.fullmatch(self.pattern, name)
        if match is None or match["emotion"] not in self.emotions:
            raise InputError(
                f"{corpus}: the name {path.name!r} fits no class; expected names such "
                f"as {self.example}; rename or remove {path}"
            )
        return Utterance(
            id=name,
            path=path,
            label=self.emotions[match["emotion"]][0],
            speaker=self.speakers.get(match["speaker"], match["speaker"]),
            sentence=match["sentence"],
        )
