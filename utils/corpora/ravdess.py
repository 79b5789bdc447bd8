"""RAVDESS (Livingstone & Russo, 2018): its audio-only speech.

`03-01-06-01-02-01-12.wav`: audio only, speech, fearful, normal intensity, statement 2,
first repetition, actor 12. 24 actors say two statements; 1440 files, 48 kHz.
"""

from utils.corpora.file_names import NamingScheme

REST = r"-0[12]-(?P<sentence>0[12])-0[12]-(?P<speaker>[01]\d|2[0-4])"
CORPUS = NamingScheme(
    pattern=rf"03-01-(?P<emotion>0[1-8]){REST}",
    emotions={
        "01": ("neutral", 96),  # in one intensity only
        "02": ("calm", 192),
        "03": ("happiness", 192),
        "04": ("sadness", 192),
        "05": ("anger", 192),
        "06": ("fear", 192),
        "07": ("disgust", 192),
        "08": ("surprise", 192),
    },
    example="03-01-06-01-02-01-12.wav",
    other_files=rf"(?!03-01)0[1-3]-0[12]-0[1-8]{REST}",  # songs, sound of videos
).corpus(
    "RAVDESS",
    how_to_get="Download Audio_Speech_Actors_01-24.zip from "
    "https://zenodo.org/record/1188976 and unpack it there.",
    licence="CC BY-NC-SA 4.0 (not for commercial use)",
)
