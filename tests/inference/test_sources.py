"""Recordings are found by the names that the user gives: files, folders, lists."""

import os
import subprocess
import sys
from pathlib import Path
from unicodedata import normalize

import pytest

from hyperparameters import InputError
from utils.inference import sources
from utils.inference.sources import open_sources


def found(*words: object) -> list[Path]:
    with open_sources(list(map(str, words)), Path("elsewhere")) as all_found:
        return [source.path for source in all_found]


def test_standard_input_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(sources, "MOST_STDIN_BYTES", 3 * 2**20)
    with open("/dev/zero") as endless, monkeypatch.context() as changed:
        changed.setattr(sys, "stdin", endless)
        with pytest.raises(InputError, match="stdin: has more than 3145728 bytes"):
            found("-")


def test_a_folder_list_and_names_are_found(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ["a/2.wav", "a/b/1.FLAC", "a/._2.wav", "a/x.txt", ".hidden/3.wav"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a/2.wav\n\n{tmp_path}/no\n")
    names = ["a/2.wav", "a/b/1.FLAC", "a/2.wav", "no"]
    assert found(tmp_path, f"@{tmp_path}/list.txt") == [tmp_path / n for n in names]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_both_normal_forms_find_the_file(tmp_path, monkeypatch, on_disk, form):
    path = tmp_path / normalize(on_disk, "Café/José ä.wav")
    path.parent.mkdir()
    path.write_bytes(b"x")
    (tmp_path / normalize(on_disk, "für.txt")).write_text(normalize(form, str(path)))
    monkeypatch.chdir(tmp_path)
    listed = f"@{tmp_path}/" + normalize(form, "für.txt")
    names = [str(path), str(path.parent), listed]
    assert found(*(normalize(form, name) for name in names)) == [path] * 3
    [relative] = found(normalize(form, "Café/José ä.wav"))
    assert relative.resolve() == path
    assert found("fehlt ä.wav") == [Path("fehlt ä.wav")]


def test_a_list_has_an_end(tmp_path):
    with pytest.raises(InputError, match="more than 67108864 bytes"):
        found("@/dev/zero")
    os.mkfifo(tmp_path / "pipe")  # `@<(find ...)` is one, too
    with subprocess.Popen(["bash", "-c", f"echo a.wav > {tmp_path}/pipe"]):
        assert found(f"@{tmp_path}/pipe") == [Path("a.wav")]


SUFFIXES = ".3gpp .aifc .WAVE .m4b .mp2 .ts .awb .wv .ac3 .vob .snd .3g2"


def test_every_suffix_of_sound_is_found_and_a_line_tells_of_others(tmp_path):
    names = [f"1{suffix}" for suffix in SUFFIXES.split()]
    for name in [*names, "notes.txt", "b.jpg", ".hidden", "a\nb"]:
        (tmp_path / name).write_bytes(b"x")
    lines: list[str] = []
    with open_sources([str(tmp_path)], tmp_path, lines.append) as sources:
        assert sorted(source.path.name for source in sources) == sorted(names)
    reason = "no sound or video by their suffix"
    first = f"the first is {tmp_path}/a\\nb"
    assert lines == [f"{tmp_path}: 3 passed over ({reason}), {first}"]


def test_folders_may_be_nested_as_deeply_as_the_system_allows(tmp_path):
    """Deeper than Python's recursion limit; then longer than a path may be."""
    home, names = Path.cwd(), ["a"] * 1200
    try:
        os.chdir(tmp_path)
        for name in names:
            os.mkdir(name)
            os.chdir(name)
        Path("1.wav").touch()
        assert found(tmp_path) == [tmp_path.joinpath(*names, "1.wav")]
        for name in ["b" * 200] * 10:
            os.mkdir(name)
            os.chdir(name)
        with pytest.raises(InputError, match="holds folders nested too deeply"):
            found(tmp_path)
    finally:
        os.chdir(home)
        subprocess.run(["rm", "-rf", tmp_path / "a"], check=True)


def test_linked_folders_are_searched_and_a_loop_ends(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.flv").write_bytes(b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    assert found(tmp_path / "in") == [tmp_path / "in/link/1.flv"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa.wav\r\n\xff.wav\r\n",  # Windows editors; a name not in UTF-8
        b"a.wav;;;\r\n\r\n;;;\r\n\xff.wav;;;\r\n",  # spreadsheets
        b"a.wav\t\t\n\xff.wav,,\n",
        b"a.wav  \n\xff.wav\n",
    ],
)
def test_lists_of_editors_and_spreadsheets_are_read(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert [os.fsencode(path) for path in found(f"@{path}")] == [b"a.wav", b"\xff.wav"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_read_if_it_says_so(tmp_path, encoding):
    path = tmp_path / "list.txt"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_text(f"{mark}ä.wav;;\nb,.wav\n", encoding=encoding)
    assert found(f"@{path}") == [Path("ä.wav"), Path("b,.wav")]
    path.write_bytes("a.wav\n".encode("utf-16-le"))
    with pytest.raises(InputError, match="the list must be a text in UTF-8"):
        found(f"@{path}")


def test_names_may_end_like_an_empty_cell(tmp_path):
    (tmp_path / "a.wav;").touch()
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a.wav;\n")
    assert found(f"@{tmp_path}/list.txt") == [tmp_path / "a.wav;"]


@pytest.mark.parametrize("word", ["empty", "@empty/list.txt", "@nothing"])
def test_names_without_recordings_are_refused(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "list.txt").write_text("\n")
    message = "contains no recording|names no recording|list cannot be read"
    with pytest.raises(InputError, match=message):
        found(word)
