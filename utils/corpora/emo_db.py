"""EMO-DB, the Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005).

535 utterances, 10 speakers, 10 sentences, 7 classes; mono, 16 kHz, 16-bit PCM WAV.
The file name `16a05Lb.wav` means speaker 16, sentence a05, emotion L, version b.
"""

import functools
from pathlib import Path

from utils.corpora import Archive
from utils.corpora.download import fetch_corpus
from utils.corpora.file_names import NamingScheme
from utils.corpora.manifest import Manifest

NAMES = NamingScheme(
    pattern=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])\w*",
    # German initials (Langeweile, Trauer, ...), in the order of the published matrices
    emotions={
        "L": ("boredom", 81),
        "T": ("sadness", 62),
        "F": ("happiness", 71),
        "A": ("anxiety_fear", 69),
        "E": ("disgust", 46),
        "N": ("neutral", 79),
        "W": ("anger", 127),
    },
    example="16a05Lb.wav",
)
EMOTION_OF_LETTER = {letter: label for letter, (label, _) in NAMES.emotions.items()}


def read(folder: Path) -> Manifest:
    """Read EMO-DB from a folder or its subfolder `wav`; see `NamingScheme.read`."""
    wav_folder = folder / "wav"
    return NAMES.read(wav_folder if wav_folder.is_dir() else folder, name="EMO-DB")


ARCHIVE = Archive(
    corpus="EMO-DB",
    url="http://emodb.bilderbar.info/download/download.zip",
    hash_list=Path(__file__).with_name("emo_db.sha256"),
)
CORPUS = NAMES.corpus(
    "EMO-DB",
    read=read,
    fetch=functools.partial(fetch_corpus, ARCHIVE),
    archive=ARCHIVE,
    converts=False,
    class_map={"anxiety_fear": "fear"},
    licence="freely available; audformat edition CC0 1.0",
)
