"""Download and unpacking against a server of our own on 127.0.0.1."""

import contextlib
import hashlib
import io
import itertools
import os
import resource
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hyperparameters import InputError
from utils.corpora import Archive, download
from utils.files import PROJECT

NAMES = [f"{speaker}a01{letter}a.wav" for speaker in ("03", "08") for letter in "LTFN"]
RANDOM = np.random.RandomState(7)
FILES = {f"wav/{name}": RANDOM.bytes(100_000) for name in NAMES}  # in many pieces


def zipped(files: dict[str, bytes]) -> bytes:
    """A ZIP archive of files by member name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WHOLE = zipped({**FILES, "silb/03a01La.silb": b"other folders are ignored"})


class Server(ThreadingHTTPServer):
    """Serves one file, and misbehaves as told."""

    content = WHOLE
    status = 0  # answer this status instead
    cuts: Container[int] = ()  # the requests, from 0, whose answer stops half-way
    has_ranges = True
    repeats = 1  # send the content so often, without saying how much it is
    sent_bytes = 0
    delay_s = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []  # the Range header of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/download.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers["Range"]
        server.ranges.append(asked)
        time.sleep(server.delay_s)
        start = 0
        if asked and server.has_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        too_far = start >= len(server.content)
        body = server.content[start:]
        self.send_response(server.status or (416 if too_far else 206 if start else 200))
        if server.repeats == 1:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if len(server.ranges) - 1 in server.cuts:
            body = body[: len(body) // 2]
        with contextlib.suppress(ConnectionError):  # the client may leave
            for _ in range(server.repeats):
                self.wfile.write(body)
                server.sent_bytes += len(body)

    def log_message(self, *args: object) -> None:
        """Keep stderr for what is tested."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hash_list(tmp_path: Path) -> Path:
    path = tmp_path / "list.sha256"
    lines = [f"{hashlib.sha256(v).hexdigest()}  {k}\n" for k, v in FILES.items()]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def archive(server: Server, hash_list: Path) -> Archive:
    return Archive(corpus="EMO-DB", url=server.url, hash_list=hash_list)


@pytest.fixture
def offline(hash_list: Path) -> Archive:
    """An archive whose server is not there."""
    with Server() as gone:
        url = gone.url
    return Archive(corpus="EMO-DB", url=url, hash_list=hash_list)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "EMO-DB"


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path, hidden ones too, but for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def assert_whole(folder: Path) -> None:
    """The corpus is there, and nothing beside it."""
    expected = {f"{folder.name}/{name}": content for name, content in FILES.items()}
    assert content_of(folder.parent) == expected


def test_whole_download_shows_a_bar(server, archive, folder, capfd):
    download.provide(archive, folder)
    assert_whole(folder)
    assert server.ranges == [None]
    assert "EMO-DB: 100%" in capfd.readouterr().err
    download.provide(archive, folder)  # there already: not asked for again
    assert server.ranges == [None]


def test_cut_download_is_resumed_in_the_same_run(server, archive, folder):
    server.cuts = [0]
    download.provide(archive, folder)
    assert_whole(folder)
    first, second = server.ranges
    assert first is None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > len(WHOLE) // 3


def test_cut_again_and_again_then_resumed_by_the_next_run(server, archive, folder):
    server.cuts = range(100)
    with pytest.raises(InputError, match="ChunkedEncodingError") as info:
        download.provide(archive, folder)
    part = folder.with_name("EMO-DB.zip.part")
    assert f"{part.stat().st_size} bytes so far" in str(info.value)
    assert "save a copy of the archive as" in str(info.value)
    assert not folder.exists()
    assert len(server.ranges) == download.ATTEMPTS
    kept = part.stat().st_size
    assert part.read_bytes() == WHOLE[:kept] != b""
    server.cuts, server.ranges = (), []
    download.provide(archive, folder)
    assert_whole(folder)
    assert server.ranges == [f"bytes={kept}-"]


def test_server_without_ranges_starts_over(server, tmp_path):
    server.cuts, server.has_ranges = [0], False
    part = tmp_path / "part"
    assert not download.fetch(server.url, part, name="EMO-DB")
    assert part.read_bytes() == WHOLE
    assert len(server.ranges) == 2


def test_downloaded_whole_but_killed_before_unpacking(server, archive, folder):
    part = folder.with_name("EMO-DB.zip.part")
    part.parent.mkdir()
    part.write_bytes(WHOLE)
    download.provide(archive, folder)
    assert_whole(folder)
    assert server.ranges == [f"bytes={len(WHOLE)}-"]


@pytest.mark.parametrize("size", [1000, len(WHOLE) + 1000])
def test_part_of_something_else_is_started_over_once(server, archive, folder, size):
    part = folder.with_name("EMO-DB.zip.part")
    part.parent.mkdir()
    part.write_bytes(b"x" * size)
    download.provide(archive, folder)
    assert_whole(folder)
    assert server.ranges == [f"bytes={size}-", None]


def test_corrupted_fails_in_one_line_and_leaves_nothing(server, archive, folder):
    changed = dict(FILES, **{f"wav/{NAMES[2]}": b"altered"})
    del changed[f"wav/{NAMES[0]}"]
    server.content = zipped(changed)
    message = r"1 missing \(03a01La\), 1 altered \(03a01Fa\); nothing was unpacked"
    with pytest.raises(InputError, match=message) as info:
        download.provide(archive, folder)
    assert "\n" not in str(info.value)
    assert server.ranges == [None]
    assert content_of(folder.parent) == {}
    # Put together from pieces: started over once, and no more than once.
    server.cuts, server.ranges = [0, 2], []
    with pytest.raises(InputError, match=message):
        download.provide(archive, folder)
    assert [asked is None for asked in server.ranges] == [True, False, True, False]
    assert content_of(folder.parent) == {}


def test_html_page_instead_of_the_archive(server, archive, folder):
    server.content = b"<!DOCTYPE html><title>moved</title>"
    with pytest.raises(InputError, match="not a readable ZIP archive"):
        download.provide(archive, folder)
    assert content_of(folder.parent) == {}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refused(server, archive, folder, status):
    server.status = status
    with pytest.raises(InputError, match=rf"refused \(HTTP {status}\)") as info:
        download.provide(archive, folder)
    assert str(folder.with_name("EMO-DB.zip")) in str(info.value)
    assert content_of(folder.parent) == {}


def test_offline_names_both_ways_out(offline, folder):
    with pytest.raises(InputError, match="ConnectionError") as info:
        download.provide(offline, folder)
    line = str(info.value)
    assert "go online and run this again, or save a copy of the archive as" in line
    assert str(folder.with_name("EMO-DB.zip")) in line
    assert "\n" not in line


def test_silent_server_times_out(server, archive, folder, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", (0.2, 0.2))
    server.delay_s = 0.6
    with pytest.raises(InputError, match="ReadTimeout"):
        download.provide(archive, folder)


def test_endless_answer_is_refused(server, tmp_path):
    server.repeats = 100
    part = tmp_path / "part"
    with pytest.raises(InputError, match="larger than 100000 bytes"):
        download.fetch(server.url, part, name="EMO-DB", limit_bytes=100_000)
    assert not part.exists()
    assert server.sent_bytes < 50 * len(WHOLE)  # what the sockets' buffers took


@pytest.mark.parametrize("name", ["EMO-DB.zip", "download.zip"])
def test_archive_beside_the_folder_needs_no_network(offline, folder, name):
    copy = folder.with_name(name)
    copy.parent.mkdir()
    copy.write_bytes(WHOLE)
    download.provide(offline, folder)
    copy.unlink()
    assert_whole(folder)


def test_named_archive_goes_first_and_may_be_nested(offline, folder, tmp_path):
    folder.parent.mkdir()
    folder.with_name("EMO-DB.zip").write_bytes(b"not this one")
    copy = tmp_path / "my copy.zip"
    copy.write_bytes(zipped({f"download/{k}": v for k, v in FILES.items()}))
    download.provide(offline, folder, archive_file=copy)
    assert content_of(folder) == FILES


@pytest.mark.parametrize(
    "name",
    ["../evil.wav", "wav/../../evil.wav", "{absolute}", "..\\evil.wav", "wav/new.wav"],
)
def test_hostile_members_are_not_written(offline, folder, tmp_path, name):
    name = name.format(absolute=tmp_path / "absolute.wav")
    copy = tmp_path / "copy.zip"
    copy.write_bytes(zipped({**FILES, name: b"evil"}))
    before = content_of(tmp_path)
    download.provide(offline, folder, archive_file=copy)
    assert_whole(folder)
    assert content_of(tmp_path) == before | {
        f"data/EMO-DB/{name}": content for name, content in FILES.items()
    }


def test_listed_name_stays_inside_wherever_it_wants_to_lie(offline, folder, tmp_path):
    copy = tmp_path / "copy.zip"
    copy.write_bytes(zipped({f"../../{k}": v for k, v in FILES.items()}))
    download.provide(offline, folder, archive_file=copy)
    assert_whole(folder)


def test_symlink_member_is_an_altered_file(offline, folder, tmp_path):
    link = zipfile.ZipInfo(f"wav/{NAMES[0]}")
    link.create_system = 3  # Unix
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    copy = tmp_path / "copy.zip"
    with zipfile.ZipFile(copy, "w") as writer:
        writer.writestr(link, "/etc/passwd")
        for name, content in itertools.islice(FILES.items(), 1, None):
            writer.writestr(name, content)
    with pytest.raises(InputError, match=r"1 altered \(03a01La\)"):
        download.provide(offline, folder, archive_file=copy)
    assert not folder.exists()


def test_zip_bomb_is_not_inflated(offline, folder, tmp_path):
    copy = tmp_path / "copy.zip"
    copy.write_bytes(zipped({**FILES, f"wav/{NAMES[0]}": bytes(2**26)}))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="1 altered"):
            download.provide(offline, folder, archive_file=copy)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_bomb_that_lies_about_its_size(offline, folder, tmp_path, compression):
    size, copy = 2**26, tmp_path / "copy.zip"
    with zipfile.ZipFile(copy, "w", compression) as writer:
        writer.writestr(f"wav/{NAMES[0]}", bytes(size))
    stated = copy.read_bytes().replace(
        size.to_bytes(4, "little"), (1000).to_bytes(4, "little")
    )
    copy.write_bytes(stated)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="1 altered"):
            download.provide(offline, folder, archive_file=copy)
        # what is inflated, and as much again while it is cut
        assert tracemalloc.get_traced_memory()[1] < 3 * download.FILE_LIMIT_BYTES
    finally:
        tracemalloc.stop()


def test_bytes_that_are_not_listed_are_never_written(offline, folder, tmp_path):
    copy = tmp_path / "copy.zip"
    copy.write_bytes(zipped({**FILES, f"wav/{NAMES[0]}": bytes(500_000)}))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # a listed file fits
    try:
        with pytest.raises(InputError, match="1 altered"):
            download.provide(offline, folder, archive_file=copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_missing_or_cut_local_archive(offline, folder, tmp_path):
    copy = tmp_path / "copy.zip"
    with pytest.raises(InputError, match=r"copy\.zip is not a readable ZIP"):
        download.provide(offline, folder, archive_file=copy)
    copy.write_bytes(WHOLE[:-100])
    with pytest.raises(InputError, match=r"copy\.zip is not a readable ZIP"):
        download.provide(offline, folder, archive_file=copy)


@pytest.mark.parametrize("first", [0, -1200])  # anywhere; in the archive's directory
def test_damaged_archive_is_refused_or_whole(offline, tmp_path, first):
    random, copy = np.random.RandomState(3), tmp_path / "copy.zip"
    first, refused = first % len(WHOLE), 0
    for trial in range(60):
        damaged = bytearray(WHOLE)
        for position in random.randint(first, len(damaged), 3):
            damaged[position] = random.randint(256)
        copy.write_bytes(damaged)
        folder = tmp_path / str(trial) / "EMO-DB"
        try:
            download.provide(offline, folder, archive_file=copy)
        except InputError:
            refused += 1
            assert not folder.exists()
        else:  # only what nobody reads was hit, such as a date
            assert_whole(folder)
    assert refused > 30


def test_two_runs_at_once_download_once(server, archive, folder):
    server.delay_s = 0.2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: download.provide(archive, folder), range(2)))
    assert_whole(folder)
    assert server.ranges == [None]


@pytest.mark.parametrize("limit_bytes", [50_000, 300_000])
def test_full_disk_is_one_line(server, hash_list, folder, limit_bytes):
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from hyperparameters import InputError\nfrom utils.corpora import Archive\n"
        "from utils.corpora.download import provide\n"
        "url, hash_list, folder = sys.argv[1:]\n"
        "archive = Archive(corpus='EMO-DB', url=url, hash_list=Path(hash_list))\n"
        "try: provide(archive, Path(folder))\n"
        "except InputError as error: sys.exit(f'refused: {error}')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, server.url, str(hash_list), str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)
        ),
    )
    assert run.returncode == 1
    *_, line = run.stderr.splitlines()
    assert line.startswith(f"refused: {folder}: cannot be written (File too large)")
    assert "Traceback" not in run.stderr
    assert set(content_of(folder.parent)) <= {"EMO-DB.zip.part"}


def test_nothing_is_written_beside_a_folder_that_is_there(offline, tmp_path):
    folder = tmp_path / "EMO-DB"
    folder.mkdir()
    download.provide(offline, folder)
    assert sorted(os.listdir(tmp_path)) == ["EMO-DB", "list.sha256"]


def test_command_line_refuses_in_one_line(tmp_path):
    copy = tmp_path / "copy.zip"
    copy.write_bytes(b"no archive")
    command = [sys.executable, "-m", "utils.corpora.download", "EMO-DB"]
    options = ["--archive", str(copy), "--data_dir", str(tmp_path)]
    run = subprocess.run(
        command + options, cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert "not a readable ZIP archive" in run.stderr


def test_command_line_knows_the_corpora(tmp_path):
    with pytest.raises(InputError, match=r"must be one of .*EMO-DB.*, got 'EMODB'"):
        download.main(["EMODB", "--data_dir", str(tmp_path)])


def test_real_corpus_from_a_local_archive(emo_db_dir, tmp_path, capsys):
    copy = tmp_path / "download.zip"
    with zipfile.ZipFile(copy, "w") as archive:
        for path in (emo_db_dir / "EMO-DB" / "wav").iterdir():
            archive.write(path, f"wav/{path.name}")
    options = ["--archive", str(copy), "--data_dir", str(tmp_path / "data")]
    assert download.main(["EMO-DB", *options]) == 0
    assert "EMO-DB: 535 files in" in capsys.readouterr().out
    assert len(content_of(tmp_path / "data")) == 535
