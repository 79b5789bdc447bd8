"""TESS (Pichora-Fuller & Dupuis, 2020).

`OAF_back_angry.wav`: the older of two actresses says "Say the word back", angrily. 200
words; 2800 files at 24.4 kHz. With two speakers, a fold by speaker trains on one voice.
"""

from utils.corpora.file_names import NamingScheme

CORPUS = NamingScheme(
    pattern=r"(?P<speaker>OAF?|YAF)_(?P<sentence>[A-Za-z]+)_(?P<emotion>[a-z]+)",
    emotions={
        "angry": ("anger", 400),
        "disgust": ("disgust", 400),
        "fear": ("fear", 400),
        "happy": ("happiness", 400),
        "neutral": ("neutral", 400),
        "ps": ("surprise", 400),  # pleasant surprise
        "sad": ("sadness", 400),
    },
    example="OAF_back_angry.wav",
    speakers={"OA": "OAF"},  # one published file is called OA_bite_neutral.wav
).corpus(
    "TESS",
    folder_names=("TESS", "TESS Toronto emotional speech set data"),
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF and put the files "
    "there.",
    licence="CC BY-NC-ND 4.0 (not for commercial use)",
)
