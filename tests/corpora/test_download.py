"""Download and unpacking against a server on 127.0.0.1."""

import contextlib
import gc
import hashlib
import io
import resource
import shutil
import stat
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hyperparameters import InputError
from utils.corpora import Archive, download
from utils.corpora.download import fetch_corpus

# pooch leaves the connection of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
NAMES = [f"{speaker}a01{letter}a.wav" for speaker in ("03", "08") for letter in "LTFN"]
RANDOM = np.random.RandomState(7)
FILES = {f"wav/{name}": RANDOM.bytes(100_000) for name in NAMES}  # in many pieces


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive of files by member name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WHOLE = zipped({**FILES, "silb/03a01La.silb": b"other folders are ignored"})


class Server(ThreadingHTTPServer):
    """Serves one file; the attributes make it misbehave."""

    content = WHOLE
    status = 200
    is_cut = False  # the answer stops half-way
    repeats = 1  # send the content so often, without stating its length
    delay_s = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0
        self.sent_bytes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/download.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        time.sleep(server.delay_s)
        body = server.content
        self.send_response(server.status)
        if server.repeats == 1:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.is_cut:
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
    gc.collect()


@pytest.fixture
def archive(server: Server, tmp_path: Path) -> Archive:
    hash_list = tmp_path / "list.sha256"
    lines = [f"{hashlib.sha256(v).hexdigest()}  {k}\n" for k, v in FILES.items()]
    hash_list.write_text("".join(lines))
    return Archive(corpus="EMO-DB", url=server.url, hash_list=hash_list)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "EMO-DB"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where a test puts a local archive."""
    return tmp_path / "my copy.zip"


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path, hidden ones too, except locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def assert_whole(folder: Path) -> None:
    """The corpus is there, and nothing beside it."""
    expected = {f"{folder.name}/{name}": content for name, content in FILES.items()}
    assert content_of(folder.parent) == expected


def test_two_runs_at_once_download_once_and_show_a_bar(server, archive, folder, capfd):
    server.delay_s = 0.2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: fetch_corpus(archive, folder), range(2)))
    assert_whole(folder)
    fetch_corpus(archive, folder)  # is there
    assert server.requests == 1
    assert "EMO-DB.zip.part: 100%" in capfd.readouterr().err


ALTERED = {**FILES, f"wav/{NAMES[2]}": b"altered"}
del ALTERED[f"wav/{NAMES[0]}"]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"is_cut": True}, "cannot be downloaded .*save a copy as .*EMO-DB.zip"),
        ({"status": 403}, r"refused \(403 .*\); save a copy as .*EMO-DB.zip"),
        ({"status": 500}, r"refused \(500 Server"),
        ({"delay_s": 0.6}, "ReadTimeout"),
        ({"content": b"<!DOCTYPE html><title>moved</title>"}, "not a readable ZIP"),
        (
            {"content": zipped(ALTERED)},
            r"1 missing \(03a01La\), 1 altered \(03a01Fa\); nothing was unpacked",
        ),
        ({"repeats": 100}, "larger than 2000000 bytes"),
    ],
)
def test_a_bad_server_gives_one_line_and_no_file(
    server, archive, folder, monkeypatch, behaviour, message
):
    monkeypatch.setattr(download, "TIMEOUT_S", (0.3, 0.3))
    monkeypatch.setattr(download, "ARCHIVE_LIMIT_BYTES", 2_000_000)
    vars(server).update(behaviour)
    with pytest.raises(InputError, match=message) as info:
        fetch_corpus(archive, folder)
    assert "\n" not in str(info.value)
    assert content_of(folder.parent) == {}
    assert server.sent_bytes < 50 * len(WHOLE)  # what the sockets' buffers took


def test_without_a_network_both_ways_out_are_named(server, archive, folder):
    server.server_close()
    with pytest.raises(InputError, match="ConnectionError") as info:
        fetch_corpus(archive, folder)
    way_out = f"go online and run this again, or save a copy as {folder}.zip"
    assert str(info.value).endswith(way_out)


@pytest.mark.parametrize("name", ["EMO-DB.zip", "download.zip"])
def test_an_archive_beside_the_folder_or_a_named_one_needs_no_network(
    server, archive, folder, copy, name
):
    beside = folder.with_name(name)
    beside.parent.mkdir()
    beside.write_bytes(b"not this one")
    copy.write_bytes(zipped({f"download/{k}": v for k, v in FILES.items()}))
    fetch_corpus(archive, folder, archive_file=copy)
    assert content_of(folder) == FILES
    shutil.rmtree(folder)
    beside.write_bytes(WHOLE)
    fetch_corpus(archive, folder)
    beside.unlink()
    assert_whole(folder)
    assert server.requests == 0


STRANGERS = ("../evil.wav", "wav/../../evil.wav", "..\\evil.wav", "wav/new.wav", "{}")


@pytest.mark.parametrize(
    "members",
    [
        FILES | dict.fromkeys(STRANGERS, b"evil"),
        {f"../../{name}": content for name, content in FILES.items()},
    ],
)
def test_no_member_chooses_its_folder(archive, folder, copy, tmp_path, members):
    absolute = tmp_path / "absolute.wav"
    copy.write_bytes(zipped({k.format(absolute): v for k, v in members.items()}))
    before = content_of(tmp_path)
    fetch_corpus(archive, folder, archive_file=copy)
    written = {f"data/EMO-DB/{name}": content for name, content in FILES.items()}
    assert content_of(tmp_path) == before | written


def lying_bomb(compression: int) -> bytes:
    """A member of 64 MiB of zeros that claims 1000 bytes."""
    size = 2**26
    bomb = zipped({f"wav/{NAMES[0]}": bytes(size)}, compression)
    return bomb.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))


def linked() -> bytes:
    """Whole but for one member, which is a symbolic link."""
    link = zipfile.ZipInfo(f"wav/{NAMES[0]}")
    link.create_system = 3  # Unix
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO(zipped(dict(list(FILES.items())[1:])))
    with zipfile.ZipFile(buffer, "a") as writer:
        writer.writestr(link, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        linked(),
        zipped({**FILES, f"wav/{NAMES[0]}": bytes(2**26)}),
        *map(lying_bomb, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
    ],
    ids=["link", "bomb", "lying", "lying bzip2", "lying lzma"],
)
def test_links_and_bombs_are_altered_files(archive, folder, copy, content):
    copy.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"1 altered \(03a01La\)"):
            fetch_corpus(archive, folder, archive_file=copy)
        # what is inflated, and as much again while it is cut
        assert tracemalloc.get_traced_memory()[1] < 3 * download.FILE_LIMIT_BYTES
    finally:
        tracemalloc.stop()
    assert content_of(folder.parent) == {}


@contextlib.contextmanager
def file_size_limit(limit_bytes: int) -> Iterator[None]:
    """Writing more than this into one file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_bytes_that_are_not_listed_are_never_written(archive, folder, copy):
    copy.write_bytes(zipped({**FILES, f"wav/{NAMES[0]}": bytes(500_000)}))
    listed_fits = file_size_limit(200_000)
    with listed_fits, pytest.raises(InputError, match="1 altered"):
        fetch_corpus(archive, folder, archive_file=copy)


def test_a_missing_or_cut_archive_matters_only_without_the_folder(
    archive, folder, copy
):
    for _ in range(2):
        with pytest.raises(InputError, match=r"copy\.zip is not a readable ZIP"):
            fetch_corpus(archive, folder, archive_file=copy)
        copy.write_bytes(WHOLE[:-100])
    shutil.rmtree(folder.parent)
    folder.mkdir(parents=True)
    fetch_corpus(archive, folder, archive_file=copy)
    assert [path.name for path in folder.parent.iterdir()] == ["EMO-DB"]  # no lock


@pytest.mark.parametrize("first", [0, -1200])  # anywhere; in the archive's directory
def test_a_damaged_archive_is_refused_or_whole(archive, tmp_path, copy, first):
    random = np.random.RandomState(3)
    first, refused = first % len(WHOLE), 0
    for trial in range(60):
        damaged = bytearray(WHOLE)
        for position in random.randint(first, len(damaged), 3):
            damaged[position] = random.randint(256)
        copy.write_bytes(damaged)
        folder = tmp_path / str(trial) / "EMO-DB"
        try:
            fetch_corpus(archive, folder, archive_file=copy)
        except InputError:
            refused += 1
            assert not folder.exists()
        else:  # the damage hit bytes that do not matter, such as a date
            assert_whole(folder)
    assert refused > 30


@pytest.mark.parametrize("limit_bytes", [50_000, 300_000])  # while it unpacks, loads
def test_a_full_disk_is_one_line(server, archive, folder, limit_bytes):
    message = f"{folder}: cannot be written (File too large)"
    with file_size_limit(limit_bytes), pytest.raises(InputError) as info:
        fetch_corpus(archive, folder)
    assert str(info.value).startswith(message)
    assert content_of(folder.parent) == {}


def test_the_command_refuses(copy, tmp_path):
    copy.write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a readable ZIP archive"):
        download.main(["EMO-DB", "--archive", str(copy), "--data_dir", str(tmp_path)])
    with pytest.raises(InputError, match=r"IEMOCAP has no archive .* Ask for it"):
        download.main(["IEMOCAP", "--data_dir", str(tmp_path)])


def test_the_real_corpus_from_a_local_archive(emo_db_dir, tmp_path, copy, capsys):
    with zipfile.ZipFile(copy, "w") as archive:
        for path in (emo_db_dir / "EMO-DB" / "wav").iterdir():
            archive.write(path, f"wav/{path.name}")
    options = ["--archive", str(copy), "--data_dir", str(tmp_path / "data")]
    assert download.main(["EMO-DB", *options]) == 0
    assert "EMO-DB: 535 files in" in capsys.readouterr().out
    assert len(content_of(tmp_path / "data")) == 535
