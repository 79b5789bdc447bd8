import io
import json
import tracemalloc
import zipfile
from dataclasses import asdict
from pathlib import Path

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


def write(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def zipped(name: str, text: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The model with one associated file."""
    file = io.BytesIO(MODEL)
    with zipfile.ZipFile(file, "a", compression) as archive:
        archive.writestr(name, text)
    return file.getvalue()


def test_round_trip_keeps_every_value_and_the_model(tmp_path: Path) -> None:
    described = attach_metadata(MODEL, METADATA)
    assert read_metadata(write(tmp_path, described)) == METADATA
    assert without_metadata(described) == MODEL
    assert described.startswith(MODEL)


def test_same_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    described = attach_metadata(MODEL, METADATA)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert attach_metadata(MODEL, METADATA) == described


def test_a_plain_model_has_none(tmp_path: Path) -> None:
    assert read_metadata(write(tmp_path, MODEL)) is None
    assert without_metadata(MODEL) == MODEL


def test_another_tools_associated_file_is_passed_over(tmp_path: Path) -> None:
    described = zipped("labels.txt", b"a\nb\n")
    assert read_metadata(write(tmp_path, described)) is None
    assert without_metadata(described) == MODEL
    with pytest.raises(ValueError, match="has none yet"):
        attach_metadata(described, METADATA)


def test_only_tflite_is_described() -> None:
    with pytest.raises(ValueError, match="has none yet"):
        attach_metadata(b"RIFF....WAVE", METADATA)


def test_limit_counts_the_whole_zip() -> None:
    spare = len(attach_metadata(MODEL, METADATA | {"text": ""})) - len(MODEL)
    fits = METADATA | {"text": "x" * (MAX_METADATA_BYTES - spare)}
    assert len(attach_metadata(MODEL, fits)) - len(MODEL) == MAX_METADATA_BYTES
    with pytest.raises(ValueError, match=r"at most 16384 bytes, got 16385"):
        attach_metadata(MODEL, METADATA | {"text": fits["text"] + "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 9000, "damaged"),
        (b'"text"', "format 1"),
        (b'{"format": 2}', "format 1"),
        (json.dumps(METADATA | {"classes": "ab"}).encode(), "list its classes"),
        (
            json.dumps(METADATA | {"classes": ["a", "b\x1b[2J"]}).encode(),
            "in printable text",
        ),
        (
            json.dumps(METADATA | {"classes": ["a", "b\n"]}).encode(),
            "in printable text",
        ),
        (
            json.dumps(METADATA | {"classes": ["a", "\u202eb"]}).encode(),
            "in printable text",
        ),
        (json.dumps(METADATA | {"classes": ["a", ""]}).encode(), "in printable text"),
        (json.dumps(METADATA | {"classes": ["a", "a"]}).encode(), "each class once"),
        (json.dumps(METADATA | {"input": "video"}).encode(), "features or audio"),
        (json.dumps(METADATA | {"front_end": {"x": 1}}).encode(), "front_end"),
        (json.dumps(METADATA | {"front_end": {"\x1b[2J": 1}}).encode(), "front_end"),
        (json.dumps(METADATA | {"front_end": {"window": 3}}).encode(), "front_end"),
        (
            json.dumps(METADATA | {"front_end": {"num_mel_bins": 10**8}}).encode(),
            "--num_mel_bins must be at most 4096",
        ),
        (json.dumps(METADATA | {"front_end": None}).encode(), "front_end"),
        (json.dumps(METADATA | {"corpus": "EMO-DB"}).encode(), "corpus in an object"),
        (
            json.dumps(METADATA | {"front_end": {"duration_s": 10**400}}).encode(),
            "front_end",
        ),
    ],
)
def test_wrong_description_is_one_line(
    tmp_path: Path, text: bytes, message: str
) -> None:
    path = write(tmp_path, zipped(METADATA_NAME, text))
    with pytest.raises(InputError, match=message) as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    long = zipped(METADATA_NAME, b" " * (MAX_METADATA_BYTES + 1))
    with pytest.raises(InputError, match="more than 16384 bytes"):
        read_metadata(write(tmp_path, long))


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.parametrize("stated_bytes", [5_000_000, 100])
def test_zip_bomb_is_not_unpacked(
    tmp_path: Path, compression: int, stated_bytes: int
) -> None:
    """Nor where its header lies about the size, which stands in two places."""
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


def test_damaged_compression_is_one_line(tmp_path: Path) -> None:
    text = json.dumps(METADATA).encode()
    damaged = bytearray(zipped(METADATA_NAME, text, zipfile.ZIP_DEFLATED))
    start = damaged.index(METADATA_NAME.encode()) + len(METADATA_NAME)
    damaged[start] = 0xFF  # a kind of block that deflate does not have
    with pytest.raises(InputError, match="damaged"):
        read_metadata(write(tmp_path, bytes(damaged)))


def test_changed_byte_is_noticed(tmp_path: Path) -> None:
    described = bytearray(attach_metadata(MODEL, METADATA))
    described[described.index(b"tristeza")] ^= 1
    with pytest.raises(InputError, match="damaged"):
        read_metadata(write(tmp_path, bytes(described)))


def test_every_truncation_is_none_or_one_line(tmp_path: Path) -> None:
    described = attach_metadata(MODEL, METADATA)
    for length in range(len(MODEL), len(described), 7):
        assert read_metadata(write(tmp_path, described[:length])) is None


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_metadata(tmp_path / "absent.tflite")
    with pytest.raises(InputError, match="directory"):
        read_metadata(tmp_path)
