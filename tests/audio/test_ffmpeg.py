"""Sound and video through ffmpeg: time, tracks, and files that are no sound."""

import subprocess
import sys

import numpy as np
import pytest
from sounds import RATE_HZ, encoded, ffmpeg

from hyperparameters import InputError
from utils.audio.decode import blocks
from utils.audio.wav import read_any
from utils.files import PROJECT

LATE = ("-f", "lavfi", "-i", "testsrc=duration=5:size=64x48:rate=25", "-itsoffset", 3)
SINE = ("-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000")


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mp4", ("mpeg4", "aac")),
        ("a.mov", ("mpeg4", "pcm_s16le")),
        ("a.webm", ("libvpx", "libopus")),
        ("a.mkv", ("mpeg4", "libvorbis")),
        ("a.ts", ("mpeg2video", "mp2")),
        ("a.mpg", ("mpeg2video", "mp2")),
        ("a.wmv", ("wmv2", "wmav2")),
    ],
)
def test_sound_that_begins_late_keeps_its_time(tmp_path, name, codecs):
    video, sound = codecs
    path = tmp_path / name
    words = ("-map", "0:v", "-map", "1:a", "-c:v", video, "-c:a", sound, path)
    ffmpeg(*LATE, *SINE, *words)
    samples = read_any(path, RATE_HZ)
    begin, end = np.flatnonzero(np.abs(samples) > 0.01)[[0, -1]] / RATE_HZ
    assert (begin, end) == pytest.approx((3.0, 5.0), abs=0.05)


@pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.mp4"])
def test_a_hole_in_the_sound_keeps_its_length(tmp_path, name):
    path = tmp_path / name
    hole = ("-t", 6, "-af", "aselect='lt(t,1)+gt(t,5)'", "-fps_mode", "passthrough")
    sine = (*SINE[:-1], "sine=duration=6:sample_rate=48000")
    ffmpeg(*sine, *hole, path)
    loud = np.abs(read_any(path, RATE_HZ)) > 0.01
    assert len(loud) / RATE_HZ == pytest.approx(6.0, abs=0.1)
    assert loud.mean() == pytest.approx(2 / 6, abs=0.05)
    assert not loud[int(1.2 * RATE_HZ) : int(4.8 * RATE_HZ)].any()


READ_HOLE = f"""
import resource, sys
from pathlib import Path
from utils.audio.wav import read_any
try:
    read_any(Path(sys.argv[1]), {RATE_HZ})
except ValueError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_hole_that_needs_too_much_memory_is_refused(tmp_path):
    """The times in a damaged file may claim days of silence."""
    path = tmp_path / "a.mka"
    hole = ("-ac", 2, "-af", "aselect='lt(t,1)+gt(t,595)'", "-fps_mode", "passthrough")
    ffmpeg(*SINE[:-1], "sine=duration=596:sample_rate=48000", *hole, path)
    done = subprocess.run(
        [sys.executable, "-c", READ_HOLE, path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    message, peak_kib = done.stdout.splitlines()
    assert "its sound has a hole of 594 s" in message
    assert int(peak_kib) < 500 * 2**10


@pytest.mark.parametrize(
    ("name", "is_sound"),
    [
        *((name, (0, 1)) for name in ("a.mp4", "a.webm", "a.mka")),
        *(("a.mkv", tracks) for tracks in ((0, 0, 1), (1, 0), (0, 0))),
    ],
)
def test_the_first_track_with_sound_is_used(tmp_path, name, is_sound):
    path, notes = tmp_path / name, []
    silence = ("-f", "lavfi", "-t", 2, "-i", "anullsrc=r=48000")
    inputs = [word for is_one in is_sound for word in (SINE if is_one else silence)]
    maps = [word for n in range(len(is_sound)) for word in ("-map", n)]
    ffmpeg(*inputs, *maps, path)
    samples = np.concatenate(list(blocks(path, RATE_HZ, notes)))
    assert len(samples) / RATE_HZ == pytest.approx(2.0, abs=0.1)
    assert samples.any() == any(is_sound)
    track = is_sound.index(1) + 1 if any(is_sound) else 1
    note = f"sound track {track} is used, those before it are silent"
    if track == 1 and any(is_sound):
        note = "only the first of its sound tracks is used"
    assert notes == ([note] if any(is_sound) else [])


def test_one_track_needs_no_note(tmp_path):
    ffmpeg(*SINE, tmp_path / "a.mp4")
    notes: list[str] = []
    assert sum(map(len, blocks(tmp_path / "a.mp4", RATE_HZ, notes))) > RATE_HZ
    assert notes == []


def test_an_offset_is_no_sound_either(tmp_path):
    offset = ("-f", "lavfi", "-t", 2, "-i", "aevalsrc=0.1:s=48000")
    path, notes = tmp_path / "a.mka", []
    maps = ("-map", 0, "-map", 1, "-c:a", "pcm_s16le")
    ffmpeg(*offset, *SINE, *maps, path)
    samples = np.concatenate(list(blocks(path, RATE_HZ, notes)))
    assert np.ptp(samples) > 0.1
    assert notes == ["sound track 2 is used, those before it are silent"]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ts", "aac"), ("a.ts", "mp2"), ("a.aac", "aac"), ("a.ac3", "ac3")],
)
@pytest.mark.parametrize("change", [("-ac", 2), ("-ar", 44_100)])
def test_sound_that_changes_on_its_way_is_refused(tmp_path, name, codec, change):
    """ffmpeg would begin to fill holes from the start again."""
    parts = []
    for words in (("-ac", 1, "-ar", 48_000), ("-ac", 1, "-ar", 48_000, *change)):
        ffmpeg(*SINE, *words, "-c:a", codec, tmp_path / name)
        parts.append((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(b"".join(parts))
    with pytest.raises(InputError, match="changes its rate or channels"):
        read_any(tmp_path / name, RATE_HZ)


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.m4a\n"
DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"
profiles="urn:mpeg:dash:profile:isoff-live:2011" type="{}"><BaseURL>secret.m4a</BaseURL>
</MPD>"""


@pytest.mark.parametrize("suffix", [".m3u8", ".wav", ".mpd"])
@pytest.mark.parametrize(
    "text",
    [
        HLS,  # without #EXT-X-ENDLIST, ffmpeg waits for more
        f"{HLS}#EXT-X-ENDLIST\n",
        f"\ufeff{HLS}",
        "ffconcat version 1.0\nfile secret.m4a\n",
        DASH.format("dynamic"),
        " " * 257 + DASH.format("static"),
        "RIFF" + " " * 300 + DASH.format("static"),
    ],
)
def test_no_other_file_is_read(tmp_path, suffix, text):
    encoded(tmp_path / "secret.m4a")
    path = tmp_path / f"list{suffix}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"is a playlist|cannot be read as audio"):
        read_any(path, RATE_HZ)


def test_without_ffmpeg_the_line_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything else")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as not installed
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        read_any(path, RATE_HZ)
