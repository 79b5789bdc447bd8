"""SAVEE (Jackson & Haq, 2014).

`AudioData/DC/sa01.wav`, or `DC_sa01.wav` in copies without folders: speaker DC,
sadness, sentence 1 of that emotion. Four men; 480 files at 44.1 kHz.
"""

from pathlib import Path

from utils.corpora.file_names import NamingScheme


def name_with_speaker(path: Path) -> str:
    """`DC_sa01`, from the file's name alone or with that of its folder."""
    return path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}"


CORPUS = NamingScheme(
    # The number is part of the sentence: a04 and d04 are different sentences.
    pattern=r"(?P<speaker>DC|JE|JK|KL)_(?P<sentence>(?P<emotion>sa|su|[adfhn])\d\d)",
    emotions={
        "a": ("anger", 60),
        "d": ("disgust", 60),
        "f": ("fear", 60),
        "h": ("happiness", 60),
        "n": ("neutral", 120),
        "sa": ("sadness", 60),
        "su": ("surprise", 60),
    },
    example="DC/sa01.wav or DC_sa01.wav",
    name_of=name_with_speaker,
).corpus(
    "SAVEE",
    how_to_get="Register at http://kahlan.eps.surrey.ac.uk/savee and put the folder "
    "AudioData there.",
    licence="free for research after registration; not to be passed on",
)
