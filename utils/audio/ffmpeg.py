"""Decode sound and video through a pipe from ffmpeg.

The program is the system's, or else that of the `imageio-ffmpeg` wheel.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from struct import Struct
from typing import IO

import numpy as np

from hyperparameters import InputError
from utils.audio.native import BLOCK_VALUES, Native, check_format
from utils.audio.streams import mpeg_audio_end
from utils.cli import printable

# Containers of sound and video. All others are refused, because playlists (HLS, DASH,
# ffconcat) make ffmpeg open other files or wait for them.
DEMUXERS = (
    "aa,aac,ac3,ac4,aiff,amr,amrnb,amrwb,ape,apm,asf,asf_o,au,avi,boa,bonk,"
    "caf,dsf,dss,dts,dtshd,dv,eac3,flac,flv,g722,g726,gsm,ilbc,ircam,lc3,live_flv,"
    "loas,matroska,mlp,mmf,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,"
    "osq,paf,qcp,qoa,rm,rso,sbc,shn,sln,sox,svx,tak,truehd,tta,voc,vqf,w64,wav,"
    "wsd,wtv,wv,xwma"
)
# Sound that begins late or has holes is filled with silence, so that the times of a
# timeline are those of a player.
FILL_HOLES = r"asetpts=PTS-min(STARTPTS\,0),aresample=async=1:first_pts=0"
# The times of Ogg begin again in each of several joined files; FLAC has none.
TIMELESS = (b"OggS", b"fLaC")
ONE_TRACK = (b"ID3", b"\xff", b"fLaC", b"#!AMR")  # starts of files that hold no more
# In MPEG streams, ffmpeg counts time from the first packet that it reads: video too.
WITH_VIDEO = ["-map", "0:v?", "-map", "0:a:0", "-c", "copy", "-f", "null", "-"]
MPEG_STARTS = (b"G", b"\0\0\1\xba")  # of transport and program streams
# Lines about our own AU stream, pictures or chapters, not about lost sound
HARMLESS = re.compile(
    r"\[(au|null|h26\d|hevc|vvc|av1|libdav1d|vp\d\w*|mpeg\dvideo|mpeg4|msmpeg4\w*|mjpeg"
    r"|png|wmv\d|vc1|theora)\b|chapter track|Last message repeated"
)
# Contexts, addresses and codes differ from run to run.
NOISE = re.compile(r"\[[^\]]*\] *|(error code:?|return code|Error number) -?\d+ *")
AU_HEADER = Struct(">4s5I")  # magic, data offset, bytes, encoding, rate in Hz, channels
AU_FLOAT32 = 6
# The times in a damaged file may claim days of silence. No codec needs fewer bytes.
BYTES_PER_S = 10
LONGEST_HOLE_S = 600.0  # always allowed
# Of one array in ffmpeg: a hole of four minutes in stereo at 48 kHz needs 92 MB.
MOST_BYTES = 2**27
CHANGE = "Changing audio frame properties on the fly is not supported"
HOLE = re.compile(r"Failed to compensate for timestamp delta of (\d+)")


class NoSoundError(InputError):
    """The file is whole but has no sound track."""


def ffmpeg_blocks(path: Path, notes: list[str]) -> Iterator[Native]:
    """Decode the first sound track that is not silent.

    Args:
        path: A file that can be read.
        notes: Gets a line if there are several tracks.

    Yields:
        Samples at the track's rate; silence if all tracks are silent.

    Raises:
        InputError: ffmpeg is missing, or the file has no sound or is damaged.
    """
    silence = yield from _audible(_track_blocks(path, 0))
    track, is_silent = 0, bool(silence)
    while is_silent:
        track += 1
        try:
            is_silent = bool((yield from _audible(_track_blocks(path, track))))
        except NoSoundError:
            yield from silence
            return
    if track:
        notes.append(f"sound track {track + 1} is used, those before it are silent")
    elif _has_second_track(path):
        notes.append("only the first of its sound tracks is used")


def _has_second_track(path: Path) -> bool:
    """Whether a whole file has more than one sound track."""
    with path.open("rb") as file:
        if file.read(4).startswith(ONE_TRACK):
            return False
    words = [ffmpeg_program(printable(path)), "-v", "error", "-nostdin"]
    words += ["-format_whitelist", DEMUXERS, "-protocol_whitelist", "file"]
    words += ["-i", f"file:{path}", "-map", "0:a:1", "-t", "0", "-f", "null", "-"]
    done = subprocess.run(
        [os.fsencode(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _audible(blocks: Iterator[Native]) -> Generator[Native, None, list[Native]]:
    """Delay leading equal samples until others follow; return them if none do."""
    lead: list[Native] = []
    for block in blocks:
        first = lead[0].samples[:1] if lead else block.samples[:1]
        if (block.samples != first).any():
            yield from lead
            yield block
            yield from blocks
            return []
        equal = np.broadcast_to(first, block.samples.shape)  # takes no memory
        lead.append(Native(block.rate_hz, equal))
    return lead


def _track_blocks(path: Path, track: int) -> Iterator[Native]:
    """Decode one sound track through AU in a pipe."""
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            [os.fsencode(word) for word in _command(path, track)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            longest_s = LONGEST_HOLE_S + path.stat().st_size / BYTES_PER_S
            yield from _au_blocks(process.stdout, printable(path), longest_s)
            status = process.wait()
        finally:
            process.kill()
        messages.seek(0)
        _check_messages(messages.read().decode(errors="replace"), status, path)


def _command(path: Path, track: int) -> list[str]:
    """The command that writes a sound track as AU, float32, to standard output."""
    with path.open("rb") as file:
        start = file.read(4)
        end = mpeg_audio_end(file)
    part = f"subfile,,start,0,end,{end},,:" if end else ""  # without tags at the end
    words = [ffmpeg_program(printable(path)), "-v", "error", "-nostdin", "-xerror"]
    words += ["-max_alloc", str(MOST_BYTES), "-format_whitelist", DEMUXERS]
    words += ["-protocol_whitelist", "file,subfile"]
    words += ["-err_detect", "crccheck", "-reinit_filter", "0"]
    words += ["-i", f"{part}file:{path}"]
    words += ["-map", f"0:a:{track}"]
    if start not in TIMELESS:
        words += ["-af", FILL_HOLES]
    words += ["-f", "au", "-c:a", "pcm_f32be", "pipe:1"]
    return words + WITH_VIDEO if start.startswith(MPEG_STARTS) else words


def _check_messages(text: str, status: int, path: Path) -> None:
    """Raise if ffmpeg could not decode all of a file."""
    lines = [line for line in text.splitlines() if not HARMLESS.search(line)]
    if "matches no streams" in text:
        raise NoSoundError(f"{printable(path)}: has no sound track")
    if "not on whitelist" in text:
        raise InputError(
            f"{printable(path)}: is a playlist or another text, or no sound file; give "
            "the recordings themselves"
        )
    if CHANGE in text:
        raise InputError(
            f"{printable(path)}: its sound changes its rate or channels; split it"
        )
    if hole := HOLE.search(text):
        raise InputError(
            f"{printable(path)}: its sound has a hole of {hole[1]} s, which is too long"
        )
    if status or lines:
        reason = NOISE.sub("", lines[0]).strip() if lines else "no reason given"
        raise InputError(
            f"{printable(path)}: cannot be read as audio (ffmpeg: {printable(reason)})"
        )


def _au_blocks(pipe: IO[bytes], name: str, longest_s: float) -> Iterator[Native]:
    """Parse the AU stream that ffmpeg writes."""
    header = pipe.read(AU_HEADER.size)
    if len(header) < AU_HEADER.size:
        return  # ffmpeg failed; the caller sees its status
    _, offset, _, encoding, rate_hz, channels = AU_HEADER.unpack(header)
    if encoding != AU_FLOAT32:
        raise InputError(f"{name}: ffmpeg sent AU encoding {encoding}, not float32")
    check_format(rate_hz, channels, name)
    pipe.read(offset - AU_HEADER.size)
    frame_bytes, frames = 4 * channels, 0
    while data := pipe.read(BLOCK_VALUES // channels * frame_bytes):
        whole = len(data) // frame_bytes * frame_bytes
        if not whole:  # ffmpeg was stopped in its first frame
            return
        values = np.frombuffer(data[:whole], ">f4").astype(np.float64)
        frames += whole // frame_bytes
        if frames > longest_s * rate_hz:
            raise InputError(
                f"{name}: is damaged, its times claim more than {longest_s:.0f} s"
            )
        yield Native(rate_hz, values.reshape(-1, channels))


def ffmpeg_program(name: str) -> str:
    """Path of the system's ffmpeg, or else of the imageio-ffmpeg wheel's.

    Args:
        name: The file to decode, for the message.

    Raises:
        InputError: Neither is installed.
    """
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        program: str = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"{name}: libsndfile cannot read it and ffmpeg is missing; install "
            "ffmpeg or `pip install imageio-ffmpeg`"
        ) from error
    return program
