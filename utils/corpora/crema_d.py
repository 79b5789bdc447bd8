"""CREMA-D (Cao et al., 2014), by file name.

`1001_DFA_ANG_XX.wav`: actor 1001, sentence DFA, anger, intensity unspecified. 91 actors
say twelve sentences; 7442 files at 16 kHz, one of them without sound.
"""

import re
from pathlib import Path

from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import read_named_files, unknown_name

NAME = "CREMA-D"
# Code of the third field: class and documented utterances.
EMOTIONS = {
    "ANG": ("anger", 1271),
    "DIS": ("disgust", 1271),
    "FEA": ("fear", 1271),
    "HAP": ("happiness", 1271),
    "NEU": ("neutral", 1087),
    "SAD": ("sadness", 1270),  # 1271 less the one without sound
}
# Intensity: low, medium, high, unspecified; one published file has a bare X.
FILE_NAME = re.compile(
    r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?:LO|MD|HI|XX?)"
)
WITHOUT_SOUND = "1076_MTI_SAD_XX"  # listed by the corpus's authors


def _utterance(path: Path) -> Utterance | None:
    """One file; None for the one without sound."""
    match = FILE_NAME.fullmatch(path.stem)
    if match is None or match["emotion"] not in EMOTIONS:
        raise unknown_name(NAME, path, "1001_DFA_ANG_XX.wav")
    if path.stem == WITHOUT_SOUND:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        label=EMOTIONS[match["emotion"]][0],
        speaker=match["actor"],
        sentence=match["sentence"],
    )


def read(folder: Path) -> Manifest:
    """Read CREMA-D; see `read_named_files`."""
    documented = dict(EMOTIONS.values())
    return read_named_files(
        folder, NAME, utterance_of=_utterance, documented=documented
    )


CORPUS = Corpus(
    name=NAME,
    folder_names=("CREMA-D", "CREMAD", "Crema"),
    read=read,
    converts=True,
    how_to_get="Clone https://github.com/CheyneyComputerScience/CREMA-D with git-lfs "
    "and put its folder AudioWAV there.",
    licence="Open Database License 1.0, contents under the Database Contents License",
)
