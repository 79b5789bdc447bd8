"""Files and folders appear whole or not at all: errors, kills, two writers."""

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


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in a process of its own, in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=files.PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def unwritable(nobody: int) -> Iterator[Path]:
    """A folder this process may not write to, root or not; holds `old.txt`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        (folder / "old.txt").write_text("old")
        os.chmod(name, 0o755)
        folder.chmod(0o555)
        was_root = os.geteuid() == 0  # whom no mode stops: be somebody else
        if was_root:
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            if was_root:
                os.seteuid(0)
            folder.chmod(0o755)


@contextlib.contextmanager
def full_disk(limit_bytes: int) -> Iterator[None]:
    """No file may grow beyond a limit, as on a disk that runs full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden files too."""
    return sorted(os.listdir(folder))


def build(folder: Path, *sizes: int, error: type[BaseException] | None = None) -> None:
    """Build a folder of files of these sizes, and fail at the end where told."""
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
        with files.building(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_write_that_fails_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        files.write_atomic(path, write_half)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with full_disk(4096), pytest.raises(OSError, match="File too large"):
        files.write_atomic(path, bytes(10_000))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_unwritable_folder_keeps_the_old_file(unwritable):
    with pytest.raises(PermissionError):
        files.write_atomic(unwritable / "old.txt", "new")
    assert (unwritable / "old.txt").read_text() == "old"
    with pytest.raises(PermissionError):
        build(unwritable / "folder", 1)
    assert names(unwritable) == ["old.txt"]


def test_readers_never_see_a_half_file(tmp_path):
    path, size = tmp_path / "file", 300_000
    script = (
        "import sys\nfrom pathlib import Path\nfrom utils.files import write_atomic\n"
        "for _ in range(40):\n"
        "    write_atomic(Path(sys.argv[1]), sys.argv[2] * int(sys.argv[3]))\n"
    )
    files.write_atomic(path, "a" * size)
    writers = [start(script, path, letter, size) for letter in "ab"]
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


def test_building_never_replaces_what_it_did_not_make(tmp_path):
    """Somebody's own corpus may bear the name of a folder of ours."""
    folder = tmp_path / "DEMO"
    build(folder, 1)
    with (
        pytest.raises(InputError, match=r"DEMO: not made by this program .*no stamp"),
        files.building(folder, "stamp"),
    ):
        pass
    assert names(folder) == ["0"]
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


def test_standard_output_goes_on_where_it_is(tmp_path):
    """Also where a shell sent it to a file, which must not start anew."""
    script = (
        "from pathlib import Path\nfrom utils.files import write_atomic\n"
        "print('before')\n"
        "write_atomic(Path('/dev/stdout'), 'between\\n')\n"
        "print('after')\n"
    )
    path = tmp_path / "out.txt"
    path.write_text("kept\n")
    with path.open("a") as file:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=file, cwd=files.PROJECT, check=False
        )
    assert done.returncode == 0
    assert path.read_text().split() == ["kept", "before", "between", "after"]


def test_an_empty_folder_is_nobodys(tmp_path):
    (tmp_path / "DEMO").mkdir()
    with files.building(tmp_path / "DEMO", "stamp") as temporary:
        (temporary / "stamp").touch()
    assert names(tmp_path / "DEMO") == ["stamp"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_building_that_fails_keeps_the_older_folder(tmp_path, error):
    folder = tmp_path / "folder"
    build(folder, 1)
    with pytest.raises(error):
        build(folder, 2, 3, error=error)
    assert [path.stat().st_size for path in folder.iterdir()] == [1]
    assert names(tmp_path) == ["folder"]


def test_building_on_a_full_disk_leaves_nothing(tmp_path):
    with full_disk(4096), pytest.raises(OSError, match="File too large"):
        build(tmp_path / "folder", 100, 10_000)
    assert names(tmp_path) == []


def test_killed_build_is_cleared_away_by_the_next(tmp_path):
    folder = tmp_path / "folder[1]"  # no pattern
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from utils.files import building, locked\nfolder = Path(sys.argv[1])\n"
        "with locked(folder), building(folder) as temporary:\n"
        "    (temporary / 'half').touch()\n    print('half', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with start(script, folder) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "half\n"
        killed.send_signal(signal.SIGKILL)
    assert not folder.exists()
    assert len(names(tmp_path)) == 2  # the lock and the half
    with files.locked(folder).acquire(timeout=1), files.building(folder) as temporary:
        (temporary / "whole").touch()
    assert names(tmp_path) == [".folder[1].lock", "folder[1]"]
    assert names(folder) == ["whole"]


def test_parts_of_a_file_are_removed_and_nothing_else(tmp_path):
    kept = {"a[1].npy", ".a[1].npy.lock", ".a1.npy.01234567.part", ".b.01234567.part"}
    for name in (*kept, ".a[1].npy.01234567.part", ".a[1].npy.89abcdef.part"):
        (tmp_path / name).touch()
    files.remove_parts(tmp_path / "a[1].npy")
    assert set(names(tmp_path)) == kept


def test_building_leaves_another_folders_build_alone(tmp_path):
    with files.building(tmp_path / "EMO-DB_3.0s_Segmented") as other:
        with files.building(tmp_path / "EMO-DB_3"):
            pass
        (other / "file").touch()
    assert names(tmp_path) == ["EMO-DB_3", "EMO-DB_3.0s_Segmented"]


def test_two_processes_build_once(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from utils.files import building, locked\nfolder = Path(sys.argv[1])\n"
        "with locked(folder):\n"
        "    if not folder.exists():\n"
        "        with building(folder) as temporary:\n"
        "            time.sleep(0.2)\n            print('built')\n"
    )
    builders = [start(script, tmp_path / "folder") for _ in range(2)]
    outputs = [builder.communicate() for builder in builders]
    assert sorted(outputs) == [("", ""), ("built\n", "")]


def test_sha256_and_digest(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert files.sha256(path) == hashlib.sha256(b"abc").hexdigest()
    assert files.json_sha256({"a": 1, "b": [2]}) == files.json_sha256(
        {"b": [2], "a": 1}
    )
    assert files.json_sha256({"a": 1}) != files.json_sha256({"a": 2})
