"""Recordings are found by the names that the user gives: files, folders, lists."""

import os
from pathlib import Path

import pytest

from hyperparameters import InputError
from utils.inference.sources import open_sources


def found(*words: object) -> list[Path]:
    with open_sources(list(map(str, words)), Path("elsewhere")) as sources:
        return [source.path for source in sources]


def test_a_folder_list_and_names_are_found(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ["a/2.wav", "a/b/1.FLAC", "a/._2.wav", "a/x.txt", ".hidden/3.wav"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a/2.wav\n\n{tmp_path}/no\n")
    names = ["a/2.wav", "a/b/1.FLAC", "a/2.wav", "no"]
    assert found(tmp_path, f"@{tmp_path}/list.txt") == [tmp_path / n for n in names]


def test_linked_folders_are_searched_and_a_loop_ends(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.flv").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    assert found(tmp_path / "in") == [tmp_path / "in/link/1.flv"]


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path):
    """As Windows editors write it; names that are not UTF-8 are kept."""
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa.wav\r\n\xff.wav\r\n")
    assert [os.fsencode(path) for path in found(f"@{path}")] == [b"a.wav", b"\xff.wav"]


@pytest.mark.parametrize("word", ["empty", "@empty/list.txt", "@nothing"])
def test_names_without_recordings_are_refused(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "list.txt").write_text("\n")
    message = "contains no recording|names no recording|list cannot be read"
    with pytest.raises(InputError, match=message):
        found(word)
