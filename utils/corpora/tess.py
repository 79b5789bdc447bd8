"""TESS (Pichora-Fuller & Dupuis, 2020), by file name.

`OAF_back_angry.wav`: the older of two actresses says "Say the word back", angrily. 200
words; 2800 files at 24.4 kHz. Two speakers: a fold by speaker trains on one voice.
"""

import re
from pathlib import Path

from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import read_named_files, unknown_name

NAME = "TESS"
# Last field: class and documented utterances; `ps` is pleasant surprise.
EMOTIONS = {
    "angry": ("anger", 400),
    "disgust": ("disgust", 400),
    "fear": ("fear", 400),
    "happy": ("happiness", 400),
    "neutral": ("neutral", 400),
    "ps": ("surprise", 400),
    "sad": ("sadness", 400),
}
# One published file, OA_bite_neutral.wav, lacks the F of its speaker.
FILE_NAME = re.compile(r"(?P<speaker>OAF?|YAF)_(?P<word>[A-Za-z]+)_(?P<emotion>[a-z]+)")
SPEAKER_OF_CODE = {"OA": "OAF", "OAF": "OAF", "YAF": "YAF"}


def _utterance(path: Path) -> Utterance:
    """One file."""
    match = FILE_NAME.fullmatch(path.stem)
    if match is None or match["emotion"] not in EMOTIONS:
        raise unknown_name(NAME, path, "OAF_back_angry.wav")
    return Utterance(
        id=path.stem,
        path=path,
        label=EMOTIONS[match["emotion"]][0],
        speaker=SPEAKER_OF_CODE[match["speaker"]],
        sentence=match["word"],
    )


def read(folder: Path) -> Manifest:
    """Read TESS; see `read_named_files`."""
    documented = dict(EMOTIONS.values())
    return read_named_files(
        folder, NAME, utterance_of=_utterance, documented=documented
    )


CORPUS = Corpus(
    name=NAME,
    folder_names=("TESS", "TESS Toronto emotional speech set data"),
    read=read,
    converts=True,
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF and put the files "
    "there.",
    licence="CC BY-NC-ND 4.0 (not for commercial use)",
)
