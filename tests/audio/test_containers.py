"""Truncated, damaged and joined files: no part is taken for the whole."""

import os
import re
import time

import numpy as np
import pytest
from sounds import RATE_HZ, encoded

from benchmarks.damaged_files import FORMS, outcomes, write_form
from hyperparameters import InputError
from utils.audio.streams import frame_bytes
from utils.audio.wav import read_any


@pytest.mark.parametrize("name", FORMS)
def test_no_part_is_taken_for_the_whole(tmp_path, name, capfd):
    """Truncated, damaged and joined files are refused or decoded completely."""
    found = outcomes(tmp_path / name)
    assert len(found) == 6
    assert set(found.values()) <= {"refused", "decoded"}
    assert found["cut in the middle"] == found["cut near the end"] == "refused"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rounds", [4, pytest.param(700, marks=pytest.mark.proof)])
@pytest.mark.parametrize("name", FORMS)
def test_random_damage_ends_in_sound_or_one_line(tmp_path, name, rounds, capfd):
    path = tmp_path / name
    content = write_form(path)
    random = np.random.RandomState(7)
    for number in range(rounds):
        damaged = bytearray(content)
        if number % 4 == 0:
            damaged = damaged[: random.randint(1, len(content))]
        elif number % 4 == 1:
            damaged += content[: random.randint(1, len(content))]
        else:  # in the header, or anywhere
            reach = len(content) if number % 4 == 2 else min(64, len(content))
            for position in random.randint(0, reach, size=random.randint(1, 6)):
                damaged[position] = random.randint(256)
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_any(path, RATE_HZ)).all()
        except InputError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
            assert not re.search(r"0x[0-9a-f]{6}|-\d{4}|\n", message)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "mark"), [("a.ogg", b"OggS"), ("a.opus", b"OggS"), ("a.mp3", b"frame")]
)
def test_a_cut_between_pages_or_frames_is_found(tmp_path, name, mark):
    path = encoded(tmp_path / name)
    content = path.read_bytes()
    end = content.rindex(mark) if mark == b"OggS" else last_frame(content)
    path.write_bytes(content[:end])
    with pytest.raises(InputError, match="is truncated"):
        read_any(path, RATE_HZ)


def last_frame(content: bytes) -> int:
    """Position of the last frame of an MP3."""
    start = end = content.index(b"\xff\xfb" if b"\xff\xfb" in content else b"\xff\xf3")
    while length := frame_bytes(content[end : end + 4]):
        start, end = end, end + length
    return start


SIX_FOUR_MB = 1 << 26
STARTS = {
    "riff": b"RIFF\0\0\0\4WAVE",
    "avi": b"RIFF\0\0\0\4AVI ",
    "aiff": b"FORM\0\0\0\4AIFF",
    "caf": b"caff\0\1\0\0",
    "flv": b"FLV\1\5\0\0\0\t",
    "nothing": b"",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_header_and_64_mb_of_zeros_are_refused_at_once(tmp_path, start):
    path = tmp_path / "a.wav"
    path.write_bytes(start)
    os.truncate(path, SIX_FOUR_MB)
    began = time.process_time()
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_any(path, RATE_HZ)
    assert time.process_time() - began < 2.0
