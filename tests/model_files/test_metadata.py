"""The description inside a model file: written, read, and refused if wrong."""

import contextlib
import io
import itertools
import json
import tracemalloc
import zipfile
from dataclasses import asdict

import pytest
from toy_tflite import toy_model

from hyperparameters import FrontEnd, InputError
from utils.model_files.metadata import (
    MAX_METADATA_BYTES,
    METADATA_NAME,
    attach_metadata,
    read_metadata,
    without_metadata,
)

METADATA = {
    "format": 1,
    "classes": ["boredom", "tristeza"],
    "front_end": asdict(FrontEnd(duration_s=2.5, window="hamming")),
    "input": "features",
    "note": "Aufgenommen in Köln",
}
MODEL = toy_model((1, 1024), 2)


def write(folder, content):
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def zipped(name, text, compression=zipfile.ZIP_STORED):
    """The model with one associated file."""
    file = io.BytesIO(MODEL)
    with zipfile.ZipFile(file, "a", compression) as archive:
        archive.writestr(name, text)
    return file.getvalue()


def test_round_trip_keeps_every_value_and_byte(tmp_path, monkeypatch):
    described = attach_metadata(MODEL, METADATA)
    assert read_metadata(write(tmp_path, described)) == METADATA
    assert described.startswith(MODEL)
    assert without_metadata(described) == MODEL == without_metadata(MODEL)
    assert read_metadata(write(tmp_path, MODEL)) is None
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert attach_metadata(MODEL, METADATA) == described


def test_only_a_tflite_without_associated_files_is_described(tmp_path):
    described = zipped("labels.txt", b"of another tool")
    assert read_metadata(write(tmp_path, described)) is None
    assert without_metadata(described) == MODEL
    for content in (described, b"RIFF....WAVE"):
        with pytest.raises(ValueError, match="without metadata"):
            attach_metadata(content, METADATA)


def test_limit_counts_the_whole_zip():
    spare = len(attach_metadata(MODEL, METADATA | {"text": ""})) - len(MODEL)
    fits = METADATA | {"text": "x" * (MAX_METADATA_BYTES - spare)}
    assert len(attach_metadata(MODEL, fits)) - len(MODEL) == MAX_METADATA_BYTES
    with pytest.raises(ValueError, match=r"at most 16384 bytes, got 16385"):
        attach_metadata(MODEL, METADATA | {"text": fits["text"] + "x"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 9000, "damaged"),
        (b" " * (MAX_METADATA_BYTES + 1), "more than 16384 bytes"),
        (b'"text"', "format 1"),
        (b'{"format": 2}', "format 1"),
        *(({"format": value}, "format 1") for value in (True, 1.0, "1", [1])),
        ({"classes": "ab"}, "list its classes"),
        ({"classes": ["a", "b\x1b[2J"]}, "in printable text"),
        ({"classes": ["a", "b\n"]}, "in printable text"),
        ({"classes": ["a", "\u202eb"]}, "in printable text"),
        ({"classes": ["a", ""]}, "in printable text"),
        ({"classes": ["a", "a"]}, "each class once"),
        ({"classes": ["a", "A"]}, "each class once"),
        ({"classes": ["é", "e\u0301"]}, "each class once"),
        ({"corpus": {"name": "\x1b[2J"}}, "its corpus in printable text"),
        ({"corpus": {"name": ["EMO-DB"]}}, "its corpus in printable text"),
        ({"input": "video"}, "features or audio"),
        ({"front_end": {"x": 1}}, "front_end"),
        ({"front_end": {"\x1b[2J": 1}}, "front_end"),
        ({"front_end": {"window": 3}}, "front_end"),
        ({"front_end": {"num_mel_bins": 10**8}}, "--num_mel_bins must be at most 4096"),
        ({"front_end": {"duration_s": 10**400}}, "front_end"),
        ({"front_end": None}, "front_end"),
        *(({"corpus": value}, "corpus in an object") for value in ("A", "", [], False)),
        *(
            ({"voices": value}, "usable voices")
            for value in ("", [], {}, 0, False, "x")
        ),
        *(
            ({"segment_mode": value}, "segment_mode 1 or 2, got ")
            for value in (True, 2.0, "2", 0, 3, -1, 10**400, None, [2], {})
        ),
    ],
)
def test_wrong_description_is_one_line(tmp_path, content, message):
    if isinstance(content, dict):
        content = json.dumps(METADATA | content).encode()
    path = write(tmp_path, zipped(METADATA_NAME, content))
    with pytest.raises(InputError, match=message) as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.parametrize("stated_bytes", [5_000_000, 100])
def test_zip_bomb_is_not_unpacked(tmp_path, compression, stated_bytes):
    """Even if its headers, of which there are two, lie about the size."""
    size = 5_000_000
    bomb = zipped(METADATA_NAME, b" " * size, compression)
    assert bomb.count(size.to_bytes(4, "little")) == 2
    bomb = bomb.replace(size.to_bytes(4, "little"), stated_bytes.to_bytes(4, "little"))
    path = write(tmp_path, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="compressed, must be stored"):
            read_metadata(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", [None, 1, 2])
def test_the_way_of_hearing_is_read(tmp_path, mode):
    chosen = {} if mode is None else {"segment_mode": mode}
    path = write(tmp_path, attach_metadata(MODEL, METADATA | chosen))
    assert read_metadata(path) == METADATA | chosen


def test_a_changed_byte_is_noticed(tmp_path):
    described = bytearray(attach_metadata(MODEL, METADATA))
    described[described.index(b"tristeza")] ^= 1
    with pytest.raises(InputError, match="damaged"):
        read_metadata(write(tmp_path, bytes(described)))


def test_archives_of_others_are_not_listed(tmp_path):
    """A million entries take half a minute; a directory past the end is no error."""
    file = io.BytesIO(MODEL)
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(2_000):
            archive.writestr(f"{number}.txt", b"")
        archive.writestr(METADATA_NAME, json.dumps(METADATA))
    assert read_metadata(write(tmp_path, file.getvalue())) is None
    described = bytearray(attach_metadata(MODEL, METADATA))
    end = described.rindex(b"PK\5\6")
    for place, value in itertools.product((8, 10, 12, 16), (0, 2**16 - 1, 2**31)):
        changed = bytearray(described)
        size = 2 if place < 12 else 4
        number = (value % 2 ** (8 * size)).to_bytes(size, "little")
        changed[end + place : end + place + size] = number
        with contextlib.suppress(InputError):
            assert read_metadata(write(tmp_path, bytes(changed))) in (None, METADATA)


def test_a_cut_file_has_none_and_a_missing_one_is_refused(tmp_path):
    described = attach_metadata(MODEL, METADATA)
    for length in range(len(MODEL), len(described), 7):
        assert read_metadata(write(tmp_path, described[:length])) is None
    with pytest.raises(InputError, match="No such file"):
        read_metadata(tmp_path / "absent.tflite")
    with pytest.raises(InputError, match="is a folder"):
        read_metadata(tmp_path)
