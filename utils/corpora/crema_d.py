"""CREMA-D (Cao et al., 2014).

`1001_DFA_ANG_XX.wav`: actor 1001, sentence DFA, anger, intensity unspecified. 91 actors
say twelve sentences; 7442 files at 16 kHz, one of them without sound.
"""

from utils.corpora.file_names import NamingScheme

CORPUS = NamingScheme(
    # Intensity: low, medium, high, unspecified; one published file has a bare X.
    pattern=r"(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})"
    r"_(?:LO|MD|HI|XX?)",
    emotions={
        "ANG": ("anger", 1271),
        "DIS": ("disgust", 1271),
        "FEA": ("fear", 1271),
        "HAP": ("happiness", 1271),
        "NEU": ("neutral", 1087),
        "SAD": ("sadness", 1270),  # 1271 less the one without sound
    },
    example="1001_DFA_ANG_XX.wav",
    other_files="1076_MTI_SAD_XX",  # without sound, as the corpus's authors state
).corpus(
    "CREMA-D",
    folder_names=("CREMA-D", "CREMAD", "Crema"),
    how_to_get="Clone https://github.com/CheyneyComputerScience/CREMA-D with git-lfs "
    "and put its folder AudioWAV there.",
    licence="Open Database License 1.0, contents under the Database Contents License",
)
