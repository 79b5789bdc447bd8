"""EMO-DB, the Berlin Database of Emotional Speech (Burkhardt et al., Interspeech 2005).

535 utterances, 10 speakers, 10 sentences, 7 classes; mono, 16 kHz, 16-bit PCM WAV.
The file name `16a05Lb.wav` means speaker 16, sentence a05, emotion L, version b.
"""

import functools
import re
from pathlib import Path

from hyperparameters import InputError
from utils.corpora import Archive, Corpus
from utils.corpora.download import fetch_corpus
from utils.corpora.manifest import Manifest, Utterance

# German initials (Langeweile, Trauer, ...), in the order of the published matrices.
EMOTION_OF_LETTER = {
    "L": "boredom",
    "T": "sadness",
    "F": "happiness",
    "A": "anxiety_fear",
    "E": "disgust",
    "N": "neutral",
    "W": "anger",
}
FILE_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])\w*")


def read_emo_db_names(
    folder: Path, corpus_name: str, *, suffix: str = ".wav", note: str = ""
) -> Manifest:
    """Read the recordings in a folder whose names follow EMO-DB's scheme.

    Args:
        folder: Holds the recordings; only read.
        corpus_name: Name of the manifest.
        suffix: Suffix of the recordings, in lower case; other files are ignored.
        note: Note of the manifest.

    Returns:
        Manifest with speaker and sentence from the file names.

    Raises:
        InputError: No recording, or a name that fits no class.
    """
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() == suffix and not path.name.startswith("._")
    ]
    if not paths:
        raise InputError(
            f"{corpus_name}: no {suffix} file in {folder}; expected the corpus's "
            f"files, such as 03a01Fa{suffix}"
        )
    utterances = tuple(_utterance(path, corpus_name) for path in paths)
    classes = tuple(EMOTION_OF_LETTER.values())
    return Manifest(
        corpus=corpus_name, classes=classes, utterances=utterances, note=note
    )


def _utterance(path: Path, corpus_name: str) -> Utterance:
    """The utterance that one file name describes."""
    match = FILE_NAME.fullmatch(path.stem)
    if match is None or match["emotion"] not in EMOTION_OF_LETTER:
        raise InputError(
            f"{corpus_name}: the name {path.name!r} fits no class; expected speaker, "
            f"sentence, emotion ({', '.join(EMOTION_OF_LETTER)}) and version, such as "
            f"16a05Lb{path.suffix}; rename or remove the file"
        )
    return Utterance(
        id=path.stem,
        path=path,
        label=EMOTION_OF_LETTER[match["emotion"]],
        speaker=match["speaker"],
        sentence=match["sentence"],
    )


def read(folder: Path) -> Manifest:
    """Read EMO-DB from a folder or its subfolder `wav`; see `read_emo_db_names`."""
    wav_folder = folder / "wav"
    return read_emo_db_names(wav_folder if wav_folder.is_dir() else folder, "EMO-DB")


ARCHIVE = Archive(
    corpus="EMO-DB",
    url="http://emodb.bilderbar.info/download/download.zip",
    hash_list=Path(__file__).with_name("emo_db.sha256"),
)
CORPUS = Corpus(
    name="EMO-DB",
    folder_names=("EMO-DB",),
    read=read,
    fetch=functools.partial(fetch_corpus, ARCHIVE),
    archive=ARCHIVE,
    class_map={"anxiety_fear": "fear"},
    licence="freely available; audformat edition CC0 1.0",
)
