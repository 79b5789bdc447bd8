"""Folders shaped like the licensed IEMOCAP release, with synthetic recordings."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.audio.wav import to_pcm16, write_wav

CODES = ("ang", "hap", "exc", "neu", "sad", "fru", "fea", "dis", "sur", "oth", "xxx")
SCENES = ("impro01", "impro05a", "impro08b", "script01_1", "script01_1b", "script03_2")
RATE_HZ = 16_000


@dataclass(frozen=True)
class Turn:
    """What the reader must find out about one utterance."""

    id: str
    code: str
    speaker: str
    session: str
    part: str

    @property
    def dialog(self) -> str:
        return self.id[: self.id.rindex("_")]


def plan_turns(turns_of_a_speaker: int = 11) -> list[Turn]:
    """Five sessions, both marker wearers, both parts, lettered scenes, every code.

    Args:
        turns_of_a_speaker: In each dialog; the codes follow each other in turn.
    """
    codes = itertools.cycle(CODES)
    return [
        Turn(
            id=f"Ses0{session}{wearer}_{scene}_{voice}{number:03d}",
            code=next(codes),
            speaker=f"Ses0{session}{voice}",
            session=str(session),
            part="impro" if scene.startswith("impro") else "script",
        )
        for session in range(1, 6)
        for wearer, scene in zip("FMFMFM", SCENES, strict=True)
        for voice in "FM"
        for number in range(turns_of_a_speaker)
    ]


def write_release(
    release: Path, turns: Iterable[Turn], *, duration_s: float = 0.1
) -> None:
    """Write recordings, labels, and what else lies in a real copy.

    Args:
        release: The folder that gets `Session1` ... `Session5`.
        turns: As from `plan_turns`.
        duration_s: Of each recording; a tone in noise, another for each. 0 writes
            empty files: enough for reading names and labels, and faster.
    """
    seconds = itertools.count()
    for dialog, group in itertools.groupby(turns, key=lambda turn: turn.dialog):
        members = list(group)
        session = release / f"Session{members[0].session}"
        write_labels(session, dialog, members)
        folder = session / "sentences" / "wav" / dialog
        folder.mkdir(parents=True)
        for turn in members:
            write_recording(folder / f"{turn.id}.wav", next(seconds), duration_s)
        write_strays(session, members[0])


def write_recording(path: Path, seed: int, duration_s: float) -> None:
    """A tone in noise, the same for the same seed."""
    if not duration_s:
        path.touch()
        return
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.RandomState(seed).uniform(-0.1, 0.1, len(time_s))
    tone = 0.5 * np.sin(2 * np.pi * (200.0 + 5.0 * (seed % 300)) * time_s)
    write_wav(path, to_pcm16(tone + noise), RATE_HZ)


def write_labels(session: Path, dialog: str, turns: list[Turn]) -> None:
    """The dialog's file in EmoEvaluation: labels, each followed by its raters."""
    folder = session / "dialog" / "EmoEvaluation"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, turn in enumerate(turns):
        time = f"[{number:.4f} - {number + 0.9:.4f}]"
        lines += [
            f"{time}\t{turn.id}\t{turn.code}\t[2.5000, 2.5000, 2.5000]",
            "C-E1:\tAnger;\t()",
            "C-F1:\tNeutral; Sadness;\t(curious)",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
        ]
    # Windows line ends in some, as after unpacking and editing there.
    ending = "\r\n" if "script" in dialog else "\n"
    (folder / f"{dialog}.txt").write_bytes(ending.join(lines).encode())


def write_strays(session: Path, turn: Turn) -> None:
    """What must not be read: whole dialogs, raters, motion capture, hidden files."""
    wrong = f"[0.0000 - 1.0000]\t{turn.id}\tang\t[1.0000, 1.0000, 1.0000]\n"
    labels = session / "dialog" / "EmoEvaluation"
    strays = {
        session / "dialog" / "wav" / f"{turn.dialog}.wav": "whole dialog",
        session / "dialog" / "wav" / f"{turn.id}.wav": "not of sentences",
        session / "dialog" / "MOCAP_head" / f"{turn.dialog}.txt": wrong,
        session / "sentences" / "MOCAP_hand" / turn.dialog / f"{turn.id}.wav": "",
        session / "sentences" / "wav" / turn.dialog / f"._{turn.id}.wav": "hidden",
        session / "sentences" / "wav" / turn.dialog / "notes.wav": "stray",
        session / "sentences" / "wav" / f"{turn.id}.wav": "not in its folder",
        session / "sentences" / "wav" / ".DS_Store": "",
        labels / f"._{turn.dialog}.txt": wrong.replace("ang", "hidden"),
        labels / "Categorical" / f"{turn.dialog}_e1_cat.txt": wrong,
        labels / "Attribute" / f"{turn.dialog}_e2_atr.txt": wrong,
        labels / "Self-evaluation" / f"{turn.dialog}_f1_cat.txt": wrong,
    }
    for path, text in strays.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
