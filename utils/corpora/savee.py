"""SAVEE (Jackson & Haq, 2014), by folder and file name.

`AudioData/DC/sa01.wav`, or `DC_sa01.wav` in copies without folders: speaker DC,
sadness, sentence 1 of that emotion. Four men; 480 files at 44.1 kHz.
"""

import re
from pathlib import Path

from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import read_named_files, unknown_name

NAME = "SAVEE"
# Letters of the file name: class and documented utterances.
EMOTIONS = {
    "a": ("anger", 60),
    "d": ("disgust", 60),
    "f": ("fear", 60),
    "h": ("happiness", 60),
    "n": ("neutral", 120),
    "sa": ("sadness", 60),
    "su": ("surprise", 60),
}
FILE_NAME = re.compile(
    r"(?P<speaker>DC|JE|JK|KL)_(?P<sentence>(?P<emotion>sa|su|[adfhn])\d\d)"
)


def _utterance(path: Path) -> Utterance:
    """One file; its folder is the speaker where its own name does not say so."""
    full_name = path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"
    match = FILE_NAME.fullmatch(full_name)
    if match is None:
        raise unknown_name(NAME, path, "DC/sa01.wav or DC_sa01.wav")
    return Utterance(
        id=full_name,
        path=path,
        label=EMOTIONS[match["emotion"]][0],
        speaker=match["speaker"],
        # Numbered anew for each emotion: a04 and d04 are different sentences.
        sentence=match["sentence"],
    )


def read(folder: Path) -> Manifest:
    """Read SAVEE; see `read_named_files`."""
    documented = dict(EMOTIONS.values())
    return read_named_files(
        folder, NAME, utterance_of=_utterance, documented=documented
    )


CORPUS = Corpus(
    name=NAME,
    folder_names=("SAVEE",),
    read=read,
    converts=True,
    how_to_get="Register at http://kahlan.eps.surrey.ac.uk/savee and put the folder "
    "AudioData there.",
    licence="free for research after registration; not to be passed on",
)
