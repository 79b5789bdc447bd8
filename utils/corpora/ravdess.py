"""RAVDESS (Livingstone & Russo, 2018): its audio-only speech, by file name.

`03-01-06-01-02-01-12.wav`: audio only, speech, fearful, normal intensity, statement 2,
first repetition, actor 12. 24 actors say two statements; 1440 files, 48 kHz.
"""

import re
from pathlib import Path

from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import read_named_files, unknown_name

NAME = "RAVDESS"
# Code of the third field: class and documented utterances; neutral has one intensity.
EMOTIONS = {
    "01": ("neutral", 96),
    "02": ("calm", 192),
    "03": ("happiness", 192),
    "04": ("sadness", 192),
    "05": ("anger", 192),
    "06": ("fear", 192),
    "07": ("disgust", 192),
    "08": ("surprise", 192),
}
FILE_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-0[12]"
    r"-(?P<statement>0[12])-0[12]-(?P<actor>[01]\d|2[0-4])"
)
AUDIO_ONLY_SPEECH = ("03", "01")


def _utterance(path: Path) -> Utterance | None:
    """One file; None for song, and for the sound of a video of the same speech."""
    match = FILE_NAME.fullmatch(path.stem)
    if match is None:
        raise unknown_name(NAME, path, "03-01-06-01-02-01-12.wav")
    if (match["modality"], match["channel"]) != AUDIO_ONLY_SPEECH:
        return None
    return Utterance(
        id=path.stem,
        path=path,
        label=EMOTIONS[match["emotion"]][0],
        speaker=match["actor"],
        sentence=match["statement"],
    )


def read(folder: Path) -> Manifest:
    """Read RAVDESS; see `read_named_files`."""
    documented = dict(EMOTIONS.values())
    return read_named_files(
        folder, NAME, utterance_of=_utterance, documented=documented
    )


CORPUS = Corpus(
    name=NAME,
    folder_names=("RAVDESS",),
    read=read,
    converts=True,
    how_to_get="Download Audio_Speech_Actors_01-24.zip from "
    "https://zenodo.org/record/1188976 and unpack it there.",
    licence="CC BY-NC-SA 4.0 (not for commercial use)",
)
