"""Truncated, damaged and joined files: no part is taken for the whole."""

import functools
import os
import re
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, line_of
from sounds import RATE_HZ, encoded, ffmpeg, tone

from benchmarks.damaged_files import FORMS, outcomes, write_form
from hyperparameters import InputError
from utils.audio import decode
from utils.audio.containers import fault
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


@functools.cache
def whole(folder: Path, name: str) -> tuple[bytes, float, int]:
    """The content of a form, its duration in seconds, and its number of samples."""
    content = write_form(folder / name)
    seconds = len(read_any(folder / name, RATE_HZ)) / RATE_HZ
    return content, seconds, samples_in(folder / name)


def samples_in(path: Path) -> int:
    """Samples of all channels at the file's own rate, which damage may change."""
    return sum(block.samples.size for block in decode._native(path, []))


# Packets of streams that state no length begin so: a cut between two is no damage.
ENDLESS = {
    "a.aac": b"\xff\xf1",
    "a.ac3": b"\x0b\x77",
    "a.mp2": b"\xff\xf5",
    "no index.mp3": b"\xff\xf3",
    "a.amr": b"\x3c",
    "a.ts": b"G",
    "a.flv": b"\x08",
}
HEAD_BYTES = 6
# Headers state which part is played, when, or how wide samples are: an altered one is
# as good as an editor's.
EDITED = ("a.avi", "a.m4a", "start.m4a", "a.mp3", "a.mpg", "a.aifc")
# The longest packet, with some samples: a damaged first one cannot be told from a
# stream that was recorded from its middle on.
PACKET_S = 0.08


def try_damaged_recording(folder: Path, number: int) -> str:
    """Truncate, join or alter a recording; any part of the sound is a fault."""
    name = list(FORMS)[number % len(FORMS)]
    kind = number // len(FORMS) % 4
    content, whole_s, num_samples = whole(folder, name)
    random, least_s = np.random.RandomState(number), whole_s
    changed = bytearray(content)
    if kind == 0:
        changed = changed[: random.randint(1, len(content))]
    elif kind == 1:
        is_double = random.randint(2)
        changed += content[: None if is_double else random.randint(1, len(content))]
        least_s *= 1 + is_double
    else:  # at the beginning, or anywhere
        reach = len(content) if kind == 2 else min(64, len(content))
        for position in random.randint(0, reach, size=random.randint(1, 6)):
            changed[position] = random.randint(256)
    path = folder / name
    path.write_bytes(changed)
    try:
        samples = read_any(path, RATE_HZ)
    except InputError as error:
        return line_of(error, path)
    if not np.isfinite(samples).all():
        return "FAULT: not finite"
    if kind == 0 and name in ENDLESS:
        place = len(changed)  # a part of the next packet's head holds no sound
        heads = (content[place - more :] for more in range(HEAD_BYTES))
        if any(head.startswith(ENDLESS[name]) for head in heads):
            return "cut between packets"
    is_part = len(samples) / RATE_HZ < least_s - PACKET_S
    if is_part and kind > 1 and name in EDITED:
        return "states that a part is played"
    if is_part and samples_in(path) >= num_samples * (least_s - PACKET_S) / whole_s:
        return "states another rate"
    return f"FAULT: part {name} {kind}" if is_part else "decoded"


@pytest.mark.parametrize(
    "count", [4 * len(FORMS), pytest.param(20_000, marks=pytest.mark.proof)]
)
def test_random_damage_ends_in_all_of_the_sound_or_one_line(tmp_path, count):
    found = fuzz(try_damaged_recording, count, tmp_path, is_silent=True)
    assert found["decoded"] > count / 10
    assert found["refused"] > count / 3


@pytest.mark.parametrize(
    ("name", "mark"), [("a.ogg", b"OggS"), ("a.opus", b"OggS"), ("a.mp3", b"frame")]
)
def test_a_cut_between_pages_or_frames_is_found(tmp_path, name, mark):
    path = encoded(tmp_path / name)
    content = path.read_bytes()
    if mark == b"frame":  # two, because some programs count the index as a frame
        end = last_frame(content[: last_frame(content)])
    else:
        end = content.rindex(mark)
    path.write_bytes(content[:end])
    with pytest.raises(InputError, match="is truncated"):
        read_any(path, RATE_HZ)


def test_a_cut_between_blocks_of_wavpack_is_found(tmp_path):
    path = tmp_path / "a.wv"
    content = write_form(path)
    starts = [match.start() for match in re.finditer(b"wvpk", content)]
    assert len(starts) > 3
    for start in starts[1:]:
        path.write_bytes(content[:start])
        with pytest.raises(InputError, match="is truncated"):
            read_any(path, RATE_HZ)


@pytest.mark.parametrize("bits", [8, 12, 16, 20, 24])
def test_flac_that_states_fewer_samples_or_others_is_damaged(tmp_path, bits):
    path = tmp_path / "a.flac"
    samples = (tone() * 2 ** (bits - 1)).round() / 2 ** (bits - 1)
    subtype = f"PCM_{'S8' if bits == 8 else 16 if bits < 17 else 24}"
    soundfile.write(path, samples, RATE_HZ, subtype)
    content = bytearray(path.read_bytes())
    np.testing.assert_array_equal(read_any(path, RATE_HZ), samples)
    assert content[23:26] == len(samples).to_bytes(3, "big")
    content[24] //= 2
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged, a part of it is missing"):
        read_any(path, RATE_HZ)
    content[26:42] = bytes(16)  # it states no checksum
    path.write_bytes(content)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), samples)


def test_flac_from_a_pipe_states_neither_samples_nor_checksum(tmp_path):
    path = tmp_path / "a.flac"
    content = bytearray(write_form(path))
    whole = read_any(path, RATE_HZ)
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    content[26:42] = bytes(16)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), whole)


@pytest.mark.parametrize(
    ("name", "mark", "place", "changed"),
    [
        ("a.wav", b"data", 5, 0x10),  # states fewer samples than follow
        ("a.w64", b"data", 17, 0x10),
        ("a.aifc", b"SSND", 6, 0x10),
        ("a.caf", b"data", 10, 0x10),
        ("a.aiff", b"SSND", 10, 0x9E),  # states that they begin later
        ("a.aifc", b"SSND", 11, 0x90),
        ("a.au", b".snd", 10, 0x6F),
    ],
)
def test_samples_outside_of_what_is_stated_are_damage(
    tmp_path, name, mark, place, changed
):
    path = tmp_path / name
    content = bytearray(write_form(path))
    content[content.index(mark) + place] = changed
    path.write_bytes(content)
    with pytest.raises(InputError, match="a part of it is missing or altered"):
        read_any(path, RATE_HZ)


@pytest.mark.parametrize(
    ("name", "start", "altered"),
    [
        ("a.mp2", 3, 0x9A),  # mono becomes stereo
        ("a.mp2", 2, 0xE4),  # another rate
        ("a.mp2", 1, 0xFD),  # another version
        ("no index.mp3", 3, 0x04),
    ],
)
def test_a_frame_of_another_kind_is_damage(tmp_path, name, start, altered):
    path = tmp_path / name
    content = bytearray(write_form(path))
    second = frame_bytes(bytes(content[:4]))
    assert frame_bytes(bytes(content[second : second + 4]))
    content[second + start] = altered
    path.write_bytes(content)
    with pytest.raises(InputError, match="a part of it is missing or altered"):
        read_any(path, RATE_HZ)


def test_flac_with_an_altered_rate_keeps_all_samples(tmp_path):
    """libsndfile refuses it; ffmpeg goes by the rate in the frames."""
    path = tmp_path / "a.flac"
    content = bytearray(write_form(path))
    content[18], content[46] = 0x10, 0x5D
    path.write_bytes(content)
    assert len(read_any(path, RATE_HZ)) == 24_000


@pytest.mark.parametrize("name", ["a.aac", "a.mp2", "no index.mp3"])
def test_a_cut_in_the_head_of_a_frame_is_found(tmp_path, name):
    path = tmp_path / name
    content = write_form(path)
    sync = ENDLESS[name]
    start = content.index(sync, len(content) // 2)
    for extra in (1, 2, 3, 5):
        path.write_bytes(content[: start + extra])
        with pytest.raises(InputError):
            read_any(path, RATE_HZ)


def last_frame(content: bytes) -> int:
    """Position of the last frame of an MP3 or MP2."""
    syncs = (match.start() for match in re.finditer(rb"\xff[\xe0-\xff]", content))
    start = end = next(n for n in syncs if frame_bytes(content[n : n + 4]))
    while length := frame_bytes(content[end : end + 4]):
        start, end = end, end + length
    return start


LYRICS = b"LYRICSBEGININD00002100000021LYRICS200"
TAG = b"TAG" + b"title".ljust(125)


TAILS = (TAG, LYRICS + TAG, b"ID3\4\0\0\0\0\0\4abcd", bytes(999), b"\xff" * 99)
TAGGED = (
    *("a.wav", "a.aiff", "a.caf", "a.flac", "a.ogg", "a.opus", "a.m4a", "start.m4a"),
    *("a.wma", "a.webm", "a.mka", "a.avi", "a.flv", "a.ts", "a.aac"),
)


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        *((name, t) for name in ("a.mp3", "no index.mp3", "a.mp2") for t in TAILS),
        *((name, TAG) for name in TAGGED),
    ],
)
def test_tags_and_padding_after_the_sound_are_no_damage(tmp_path, name, tail):
    path = tmp_path / name
    content = write_form(path)
    whole = read_any(path, RATE_HZ)
    path.write_bytes(content + tail)
    np.testing.assert_array_equal(read_any(path, RATE_HZ), whole)


SECOND = "joined end to end|missing or altered"


@pytest.mark.parametrize(
    "name", ["a.wav", "a.aifc", "a.caf", "a.au", "a.ogg", "a.m4a", "a.wma"]
)
def test_a_second_recording_after_zeros_is_found(tmp_path, name):
    path = tmp_path / name
    content = write_form(path)
    whole = read_any(path, RATE_HZ)
    path.write_bytes(content + bytes(5000))
    np.testing.assert_array_equal(read_any(path, RATE_HZ), whole)
    path.write_bytes(content + bytes(5000) + content)
    with pytest.raises(InputError, match=SECOND):
        read_any(path, RATE_HZ)


@pytest.mark.parametrize("name", ["a.flac", "a.tta"])
def test_a_tag_in_front_does_not_hide_a_second_recording(tmp_path, name):
    path = tmp_path / name
    content = write_form(path)
    path.write_bytes(b"ID3\4\0\0\0\0\0\4abcd" + content + content)
    with pytest.raises(InputError, match=SECOND):
        read_any(path, RATE_HZ)


@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.flac", "a.m4a"])
@pytest.mark.parametrize("first", ["a.mp3", "no index.mp3"])
def test_a_short_recording_of_another_kind_after_mp3_is_found(tmp_path, first, name):
    path = tmp_path / first
    path.write_bytes(write_form(path) + write_form(tmp_path / name)[:60_000])
    with pytest.raises(InputError, match=SECOND):
        read_any(path, RATE_HZ)


@pytest.mark.parametrize(
    ("name", "mark"),
    [("a.wav", b"data"), ("a.aiff", b"SSND"), ("a.caf", b"data"), ("a.w64", b"data")],
)
def test_two_chunks_of_samples_are_two_recordings(tmp_path, name, mark):
    path = tmp_path / name
    content = write_form(path)
    path.write_bytes(content + content[content.index(mark) :])
    with pytest.raises(InputError, match=SECOND):
        read_any(path, RATE_HZ)


def test_a_fragment_that_is_missing_is_found(tmp_path):
    write_form(tmp_path / "a.wav")
    path = tmp_path / "a.mp4"
    words = ("-movflags", "frag_keyframe+empty_moov", "-frag_duration", 300_000)
    ffmpeg("-i", tmp_path / "a.wav", *words, path)
    content = path.read_bytes()
    assert len(read_any(path, RATE_HZ)) > 1.4 * RATE_HZ
    starts = [match.start() - 4 for match in re.finditer(b"moof", content)]
    assert len(starts) > 3
    path.write_bytes(content[: starts[1]] + content[starts[2] :])
    with pytest.raises(InputError, match="missing or altered"):
        read_any(path, RATE_HZ)
    swapped = content[starts[1] : starts[2]] + content[starts[0] : starts[1]]
    path.write_bytes(content[: starts[0]] + swapped + content[starts[2] :])
    with pytest.raises(InputError, match="missing or altered"):
        read_any(path, RATE_HZ)


@pytest.mark.parametrize("name", ["a.mp3", "a.ts", "a.flac", "a.webm", "a.ogg"])
def test_much_that_follows_needs_little_memory(tmp_path, name):
    """Of a sparse file, which a memory map would count too."""
    path = tmp_path / name
    write_form(path)
    os.truncate(path, 300 << 20)
    began = time.process_time()
    tracemalloc.start()
    fault(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26
    assert time.process_time() - began < 2.0


def test_millions_of_packets_do_not_take_minutes(tmp_path):
    path = tmp_path / "a.mpg"
    head = write_form(path)[:14]
    path.write_bytes(head + b"\0\0\1\xbe\0\0" * 10_000_000)
    began = time.process_time()
    fault(path)
    assert time.process_time() - began < 4.0


@pytest.mark.parametrize("name", ["a.mp3", "no index.mp3", "a.mp2"])
def test_a_download_that_was_not_completed_is_truncated(tmp_path, name):
    """Some programs reserve the space of a file before they fill it."""
    path = tmp_path / name
    content = write_form(path)
    filled = content[: last_frame(content[: len(content) // 2])]
    path.write_bytes(filled + bytes(100_000))
    with pytest.raises(InputError, match="is truncated"):
        read_any(path, RATE_HZ)


def test_an_avi_that_states_gigabytes_is_refused_at_once(tmp_path):
    path = tmp_path / "a.avi"
    content = bytearray(write_form(path))
    at = content.index(b"movi") - 4
    for start in (4, at):  # of the file, and of the list of packets
        content[start : start + 4] = (2**31 - 2).to_bytes(4, "little")
    path.write_bytes(content[: at + 4_000])
    began = time.process_time()
    with pytest.raises(InputError, match="is truncated"):
        read_any(path, RATE_HZ)
    assert time.process_time() - began < 2.0


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
    os.truncate(path, 1 << 26)
    began = time.process_time()
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_any(path, RATE_HZ)
    assert time.process_time() - began < 2.0
