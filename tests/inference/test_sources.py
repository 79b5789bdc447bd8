"""Recordings are found by the names that the user gives: files, folders, lists."""

import os

import pytest

from hyperparameters import InputError
from utils.inference.sources import open_sources


def test_a_folder_list_and_names_are_found(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ["a/2.wav", "a/b/1.FLAC", "a/._2.wav", "a/x.txt", ".hidden/3.wav"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a/2.wav\n\n{tmp_path}/no\n")
    folder, listed = str(tmp_path), f"@{tmp_path}/list.txt"
    with open_sources([folder, listed], tmp_path) as sources:
        found = [str(source.path.relative_to(tmp_path)) for source in sources]
    assert found == ["a/2.wav", "a/b/1.FLAC", "a/2.wav", "no"]


def test_linked_folders_are_searched_and_a_loop_ends(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.flv").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    with open_sources([str(tmp_path / "in")], tmp_path) as sources:
        found = [source.path.relative_to(tmp_path).as_posix() for source in sources]
    assert found == ["in/link/1.flv"]


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path):
    """As Windows editors write; names that are not UTF-8 still come through."""
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa.wav\r\n\xff.wav\r\n")
    with open_sources([f"@{path}"], tmp_path) as sources:
        names = [os.fsencode(source.path) for source in sources]
    assert names == [b"a.wav", b"\xff.wav"]


@pytest.mark.parametrize("word", ["empty", "@empty/list.txt", "@nothing"])
def test_names_without_recordings_are_refused(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "list.txt").write_text("\n")
    message = "contains no recording|names no recording|list cannot be read"
    with pytest.raises(InputError, match=message), open_sources([word], tmp_path):
        pass
