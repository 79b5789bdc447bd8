"""DEMO, the embedded default: a corpus in EMO-DB's naming, synthesised on first use.

Ten voices say two of three sentences in each of seven manners: 140 utterances. They let
the whole system run without a download. They are synthetic: a score on them says
nothing about emotion recognition.

The manners follow the direction, not the exact figures, of what phonetics reports:
Scherer, "Vocal affect expression" (Psychological Bulletin 99, 1986); Murray & Arnott,
"Toward the simulation of emotion in synthetic speech" (JASA 93, 1993); Banse & Scherer,
"Acoustic profiles in vocal emotion expression" (J. Personality and Social Psychology
70, 1996); Burkhardt & Sendlmeier, "Verification of acoustical correlates of emotional
speech using formant-synthesis" (ISCA Workshop on Speech and Emotion, 2000); Scherer,
"Vocal communication of emotion" (Speech Communication 40, 2003).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from utils.audio.wav import to_pcm16, write_wav
from utils.corpora import Corpus
from utils.corpora.emo_db import read_emo_db_names
from utils.corpora.manifest import Manifest
from utils.corpora.synthesis import SAMPLE_RATE_HZ, Delivery, synthesise
from utils.files import building, locked

NOTE = (
    "DEMO is synthetic speech made by this program: its scores say nothing about "
    "emotion recognition."
)
# SHA-256 over the samples of all utterances, in the order of their names. It is also
# the stamp of the folder: when the synthesis changes, this changes, and the corpus is
# made again.
SAMPLES_SHA256 = "c8210fc462feb8b806d030dbfb128384202d5468aecb9c65ad8c6c712fa35f5f"
STAMP_NAME = "SAMPLES_SHA256"

# Phones of `synthesis.PHONES`: Am Abend las er lange. Der Hut liegt dort im Boot. Wir
# malen den Schatten dort.
SENTENCES = {
    "a01": "_ 'a m _ a: b @ n _ t l 'a: s e: 6 l 'a N @ _",
    "a02": "_ d e: 6 h 'u: _ t l i: _ k _ t d 'O 6 _ t I m b 'o: _ t _",
    "b01": "_ v i: 6 m 'a: l @ n d e: n S 'a _ t @ n d 'O 6 _ t _",
}

# Mean F0 in Hz, vocal tract (a man's formants = 1), tempo, corner of the glottal
# spectrum in Hz, breath. Numbers and sexes as in EMO-DB.
SPEAKERS = {
    "03": (118.0, 1.00, 1.02, 520.0, 0.05),
    "08": (205.0, 1.15, 0.98, 480.0, 0.09),
    "09": (190.0, 1.12, 1.05, 560.0, 0.07),
    "10": (105.0, 0.97, 0.96, 470.0, 0.06),
    "11": (127.0, 1.03, 1.04, 580.0, 0.05),
    "12": (112.0, 0.99, 1.00, 500.0, 0.08),
    "13": (215.0, 1.17, 1.03, 600.0, 0.06),
    "14": (198.0, 1.14, 0.97, 530.0, 0.10),
    "15": (122.0, 1.02, 0.95, 550.0, 0.06),
    "16": (208.0, 1.18, 1.00, 510.0, 0.08),
}

MANNER_FIELDS = (
    "pitch_hz",
    "pitch_range",
    "pitch_fall",
    "rate",
    "lengthening",
    "peak",
    "corner_hz",
    "breath",
    "jitter",
    "tremor",
    "tract",
    "damping",
)
NEUTRAL = (1.0, 0.15, 0.8, 1.0, 1.1, 0.35, 1.0, 1.0, 0.01, 0.0, 1.0, 1.0)
# pitch, corner, breath and tract multiply the speaker's; the others are as they are.
MANNERS = {
    "N": NEUTRAL,
    # Hot anger: high and wide F0, loud, energy in the upper harmonics, fast.
    "W": (1.40, 0.30, 1.2, 1.12, 1.1, 0.85, 2.4, 0.5, 0.030, 0.0, 1.00, 0.8),
    # Joy: high and widest F0, fast, fairly loud; spread lips raise the formants.
    "F": (1.50, 0.38, 0.3, 1.10, 1.2, 0.60, 1.5, 1.0, 0.010, 0.0, 1.08, 0.9),
    # Fear: highest F0 towards falsetto, fastest, irregular, breathy.
    "A": (1.85, 0.18, -0.4, 1.22, 1.0, 0.40, 0.9, 2.2, 0.040, 0.04, 1.02, 1.0),
    # Sadness: low, narrow, slow, soft, breathy, steep spectrum, trembling.
    "T": (0.94, 0.06, 1.0, 0.88, 1.1, 0.15, 0.5, 3.0, 0.015, 0.02, 0.99, 1.4),
    # Boredom: lowest F0, narrow, slow with drawn stressed vowels, lax.
    "L": (0.88, 0.07, 0.7, 0.92, 1.4, 0.25, 0.7, 1.2, 0.010, 0.0, 1.00, 1.2),
    # Disgust: low but moving F0, falling, slow, creaky, nasal.
    "E": (0.92, 0.22, 1.8, 0.90, 1.2, 0.30, 1.1, 0.9, 0.070, 0.0, 0.95, 1.9),
}
STRENGTH = (0.50, 1.10)  # share of a manner's distance from neutral, drawn for each
SCATTER = 0.08  # each value of an utterance strays by up to this share
BACKGROUND = 0.0015  # peak of the room's noise


def utterance_names() -> tuple[str, ...]:
    """All names, such as `03a01Fa`, sorted; each voice omits a sentence per manner."""
    return tuple(
        sorted(
            f"{speaker}{sentence}{letter}a"
            for row, speaker in enumerate(SPEAKERS)
            for column, letter in enumerate(MANNERS)
            for index, sentence in enumerate(SENTENCES)
            if index != (row + column) % len(SENTENCES)
        )
    )


def utterance_samples(name: str) -> npt.NDArray[np.int16]:
    """Synthesise one utterance; its name alone decides every sample.

    Args:
        name: One of `utterance_names()`.

    Returns:
        (samples,) at 16 kHz, int16.
    """
    generator = np.random.RandomState(list(name.encode()))
    speaker, sentence, letter = name[:2], name[2:5], name[5]
    delivery = _delivery(speaker, letter, generator)
    speech = synthesise(SENTENCES[sentence], delivery, generator)
    noise = 2.0 * generator.random_sample(len(speech)) - 1.0
    return to_pcm16(speech + BACKGROUND * noise)


def _delivery(speaker: str, letter: str, generator: np.random.RandomState) -> Delivery:
    """A manner in a voice: how strong it is and where it strays is drawn."""
    low, high = STRENGTH
    strength = low + (high - low) * generator.random_sample()
    values = {}
    for field, neutral, manner in zip(
        MANNER_FIELDS, NEUTRAL, MANNERS[letter], strict=True
    ):
        stray = 1.0 + SCATTER * (2.0 * generator.random_sample() - 1.0)
        values[field] = (neutral + strength * (manner - neutral)) * stray
    pitch_hz, tract, tempo, corner_hz, breath = SPEAKERS[speaker]
    values["pitch_hz"] *= pitch_hz
    values["tract"] *= tract
    values["rate"] *= tempo
    values["corner_hz"] *= corner_hz
    values["breath"] *= breath
    return Delivery(**values)


def provide(folder: Path) -> None:
    """Synthesise the corpus where it is missing or made by an older version.

    Args:
        folder: Gets a subfolder `wav`; appears whole or not at all.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    with locked(folder):
        if _is_current(folder):  # another process made it while we waited
            return
        with building(folder, STAMP_NAME) as temporary:
            (temporary / "wav").mkdir()
            for name in utterance_names():
                path = temporary / "wav" / f"{name}.wav"
                write_wav(path, utterance_samples(name), SAMPLE_RATE_HZ)
            (temporary / STAMP_NAME).write_text(SAMPLES_SHA256 + "\n")


def _is_current(folder: Path) -> bool:
    """Whether the folder was made by this version and lacks no file."""
    stamp = folder / STAMP_NAME
    if not stamp.is_file() or stamp.read_text().strip() != SAMPLES_SHA256:
        return False
    return all((folder / "wav" / f"{name}.wav").is_file() for name in utterance_names())


def read(folder: Path) -> Manifest:
    """Read DEMO, made anew where an older version made it; see `read_emo_db_names`."""
    if not _is_current(folder):
        provide(folder)
    return read_emo_db_names(folder, "DEMO", note=NOTE)


CORPUS = Corpus(
    name="DEMO",
    folder_names=("DEMO",),
    read=read,
    provide=provide,
    is_embedded=True,
    defaults={  # published: 300 epochs; here all folds take minutes on one core
        "duration_s": 1.5,
        "num_folds": 5,
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "decay_start_epoch": 8,
        "decay_every_epochs": 2,
        "decay_rate": 1.0,
        "batch_norm_momentum": 0.8,
    },
    licence="made by this program",
)
