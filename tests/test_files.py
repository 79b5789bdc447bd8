"""Files and folders appear completely or not at all: errors, kills, two writers."""

import contextlib
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperparameters import InputError
from utils import files

HEAD = (
    "import sys, time\nfrom pathlib import Path\n"
    "from utils.files import building, locked, write_atomic\n"
    "path = Path(sys.argv[1])\n"
)


def start(script: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Run Python code in another process, in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + script, *map(str, arguments)],
        cwd=files.PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        **{"stdout": subprocess.PIPE, **options},
    )


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Limit the size of files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def unwritable(folder: Path) -> Iterator[Path]:
    """A folder that this process may not write to, even as root."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        closed = Path(name) / "folder"
        closed.mkdir()
        (closed / "file").write_text("old")
        closed.chmod(0o555)
        was_root = os.geteuid() == 0  # root ignores modes: become another user
        if was_root:
            os.seteuid(65534)
        try:
            yield closed
        finally:
            if was_root:
                os.seteuid(0)
            closed.chmod(0o755)


def names(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too."""
    return sorted(os.listdir(folder))


def build(folder: Path, *sizes: int, error: type[BaseException] | None = None) -> None:
    """Build a folder of files of these sizes; then raise the error, if any."""
    with files.building(folder) as temporary:
        for number, size in enumerate(sizes):
            (temporary / str(number)).write_bytes(bytes(size))
        if error:
            raise error


@pytest.mark.parametrize(
    "content", ["é\n", "é\n".encode(), lambda f: f.write(b"\xc3\xa9\n")]
)
def test_write_atomic_takes_text_bytes_or_a_function(tmp_path, content):
    path = tmp_path / "new" / "file.txt"
    files.write_atomic(path, content)
    files.write_atomic(path, content)  # over an older one
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_modes_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write_atomic(tmp_path / "file", b"")
        build(tmp_path / "folder")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_folder(tmp_path, error):
    path, folder = tmp_path / "file", tmp_path / "folder"
    path.write_text("old")
    build(folder, 1)

    def write_half(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        files.write_atomic(path, write_half)
    with pytest.raises(error):
        build(folder, 2, 3, error=error)
    assert path.read_text() == "old"
    assert [path.stat().st_size for path in folder.iterdir()] == [1]
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("hindered", "message"),
    [(full_disk, "File too large"), (unwritable, "Permission denied")],
)
def test_a_disk_that_takes_no_file_keeps_the_old_one(tmp_path, hindered, message):
    (tmp_path / "file").write_text("old")
    with hindered(tmp_path) as folder:
        with pytest.raises(OSError, match=f"{message}: '{folder}/.*file"):
            files.write_atomic(folder / "file", bytes(10_000))
        with pytest.raises(OSError, match=f"{message}: '{folder}/.*folder"):
            build(folder / "folder", 100, 10_000)
        assert (folder / "file").read_text() == "old"
        assert names(folder) == ["file"]


def test_readers_never_see_a_half_file(tmp_path):
    path, size = tmp_path / "file", 300_000
    script = "for _ in range(40):\n    write_atomic(path, sys.argv[2] * 300_000)\n"
    files.write_atomic(path, "a" * size)
    writers = [start(script, path, letter) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_text()
        seen.add(content[0])
        assert content == content[0] * size
    for writer in writers:
        assert writer.communicate()[1] == ""
    assert seen == {"a", "b"}
    assert names(tmp_path) == ["file"]


def test_write_json_is_readable_and_refuses_nan(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"b": "é", "a": [1.5]})
    assert path.read_text() == '{\n  "b": "é",\n  "a": [\n    1.5\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, [float("nan")])
    assert "1.5" in path.read_text()


def test_building_replaces_the_older_folder(tmp_path):
    folder = tmp_path / "new" / "folder"
    for content in ("first", "second"):
        with files.building(folder) as temporary:
            (temporary / content).write_text(content)
            assert names(folder.parent).count("folder") == (content == "second")
        assert names(folder) == [content]
        assert names(folder.parent) == ["folder"]


def test_building_never_replaces_a_folder_without_its_mark(tmp_path):
    """A user's own corpus may have the same name."""
    folder = tmp_path / "DEMO"
    folder.mkdir()
    with files.building(folder, "stamp") as temporary:  # an empty folder is replaced
        (temporary / "other").touch()
    with (
        pytest.raises(InputError, match=r"DEMO: not made by this program .*no stamp"),
        files.building(folder, "stamp"),
    ):
        pass
    assert names(folder) == ["other"]
    (folder / "stamp").touch()
    with files.building(folder, "stamp") as temporary:
        (temporary / "new").touch()
    assert names(folder) == ["new"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_atomic(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_standard_output_keeps_its_position(tmp_path):
    """A file that a shell redirects the output to must not be overwritten."""
    script = (
        "print('before')\nwrite_atomic(Path('/dev/stdout'), 'between\\n')\n"
        "print('after')\n"
    )
    path = tmp_path / "out.txt"
    path.write_text("kept\n")
    with path.open("a") as file, start(script, path, stdout=file):
        pass
    assert path.read_text().split() == ["kept", "before", "between", "after"]


def test_a_killed_build_is_cleared_away_by_the_next(tmp_path):
    folder = tmp_path / "folder[1]"  # not a glob pattern
    script = (
        "with locked(path), building(path) as temporary:\n"
        "    (temporary / 'half').touch()\n    print('half', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with start(script, folder) as killed:
        assert killed.stdout.readline() == "half\n"
        killed.send_signal(signal.SIGKILL)
    assert not folder.exists()
    assert len(names(tmp_path)) == 2  # the lock and the half
    with files.locked(folder).acquire(timeout=1), files.building(folder) as temporary:
        (temporary / "whole").touch()
    assert names(tmp_path) == [".folder[1].lock", "folder[1]"]
    assert names(folder) == ["whole"]


def test_a_build_killed_between_its_renames_is_made_again(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mark").write_text("old")
    script = (
        "import os, signal\nrename = os.replace\n"
        "def rename_once(*paths):\n"
        "    rename(*paths)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = rename_once\n"
        "with locked(path), building(path, 'mark') as temporary:\n"
        "    (temporary / 'mark').write_text('new')\n"
    )
    with start(script, folder) as killed:
        pass
    assert killed.returncode == -signal.SIGKILL
    assert not folder.exists()
    parts = [name for name in names(tmp_path) if name.endswith(".part")]
    assert len(parts) == 2  # the old and the new folder
    script = "with locked(path), building(path, 'mark') as temporary:\n"
    script += "    (temporary / 'mark').write_text('new')\n"
    assert start(script, folder).communicate() == ("", "")
    assert names(tmp_path) == [".folder.lock", "folder"]
    assert (folder / "mark").read_text() == "new"


def test_a_folder_comes_back_if_the_new_one_cannot_be_renamed(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(FileNotFoundError), files.building(folder) as temporary:
        temporary.rmdir()
    assert names(tmp_path) == ["folder"]
    assert names(folder) == ["old"]


def test_folders_are_made_however_many_are_missing(tmp_path):
    """`Path.mkdir` and `os.makedirs` call themselves for each."""
    path = tmp_path.joinpath(*["a"] * 1200, "file")
    try:
        for content in ("one", "two"):
            files.write_atomic(path, content)
            assert path.read_text() == content
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "a"], check=True)
    (tmp_path / "b").touch()
    with pytest.raises(OSError, match="b"):
        files.write_atomic(tmp_path / "b" / "file", "x")


def test_only_the_parts_of_a_file_are_removed(tmp_path):
    kept = {"a[1].npy", ".a[1].npy.lock", ".a1.npy.01234567.part", ".b.01234567.part"}
    kept.add(".a[1].npy.more.01234567.part")
    for name in (*kept, ".a[1].npy.01234567.part", ".a[1].npy.89abcdef.part"):
        (tmp_path / name).touch()
    files.remove_parts(tmp_path / "a[1].npy")
    assert set(names(tmp_path)) == kept


def test_two_processes_build_once(tmp_path):
    script = (
        "with locked(path):\n"
        "    if not path.exists():\n"
        "        with building(path) as temporary:\n"
        "            time.sleep(0.2)\n            print('built')\n"
    )
    builders = [start(script, tmp_path / "folder") for _ in range(2)]
    outputs = [builder.communicate() for builder in builders]
    assert sorted(outputs) == [("", ""), ("built\n", "")]


def test_sha256_and_json_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.sha256(path) == hashlib.sha256(b"abc").hexdigest()
    first, again = {"a": 1, "b": [2]}, {"b": [2], "a": 1}
    assert files.json_sha256(first) == files.json_sha256(again)
    assert files.json_sha256({"a": 1}) != files.json_sha256({"a": 2})
