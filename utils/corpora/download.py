"""Get EMO-DB: download its official archive or take a local copy, check, unpack.

    python -m utils.corpora.download EMO-DB --archive download.zip --data_dir data

The archive's host serves plain HTTP and a local copy may come from anybody. Therefore
only bytes whose SHA-256 is in the repository's list are written, under the names in
that list.
"""

import hashlib
import io
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.corpora import Archive, corpus_by_name, load_manifest
from utils.files import PROJECT, building, locked

TIMEOUT_S = (10.0, 30.0)  # to connect, and between two pieces
PIECE_BYTES = 2**16
ARCHIVE_LIMIT_BYTES = 2**30  # EMO-DB's archive has 40 MB; some servers never stop
FILE_LIMIT_BYTES = 2**24  # unpacked; EMO-DB's longest file has 0.3 MB
# `zipfile` reads these piece by piece; others it may inflate whole, beyond any limit.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# For a file that is no archive, and for a damaged, encrypted or unsupported member.
BAD_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError)


def fetch_corpus(
    archive: Archive, folder: Path, *, archive_file: Path | None = None
) -> None:
    """Make a corpus's folder, whole or not at all, unless it exists.

    Args:
        archive: Where to download from and which files to expect.
        folder: The folder to make, such as `data/EMO-DB`.
        archive_file: A local copy of the archive. Default: a file beside the folder
            that is named like the folder or like the official archive
            (`data/EMO-DB.zip`, `data/download.zip`); without one, a download.

    Raises:
        InputError: The archive is unreachable or damaged, or the disk is full.
    """
    if folder.is_dir():  # before the lock: the folder's parent may be read-only
        return
    names = (f"{folder.name}.zip", PurePosixPath(archive.url).name)
    beside = [folder.parent / name for name in names]
    try:
        with locked(folder):
            if folder.is_dir():  # another process made it meanwhile
                return
            local = archive_file or next(filter(Path.is_file, beside), None)
            if local is not None:
                unpack(local, archive, folder)
                return
            part = folder.with_name(f"{folder.name}.zip.part")
            try:
                download(archive.url, part, how_else=f"save a copy as {beside[0]}")
                unpack(part, archive, folder)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); make room or "
            "name another place with --data_dir"
        ) from error


class _LimitedFile(io.FileIO):
    """A file that refuses to grow beyond `ARCHIVE_LIMIT_BYTES`."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > ARCHIVE_LIMIT_BYTES:
            raise InputError(
                f"the download is larger than {ARCHIVE_LIMIT_BYTES} bytes, so it "
                "cannot be the archive; get it by another way and give --archive FILE"
            )
        return super().write(data)


def download(url: str, target: Path, *, how_else: str) -> None:
    """Download a file, with a progress bar on stderr.

    Args:
        url: HTTP or HTTPS address.
        target: File to write.
        how_else: What the user can do without the server, for the message.

    Raises:
        InputError: Unreachable, refused, cut off, or too large.
        OSError: The disk is full or the folder not writable.
    """
    import pooch
    import requests
    from tqdm import tqdm

    try:
        with (
            _LimitedFile(target, "wb") as file,
            # `total` is only to make the bar true: pooch replaces it
            tqdm(desc=target.name, total=1, unit="B", unit_scale=True) as bar,
        ):
            get = pooch.HTTPDownloader(bar, PIECE_BYTES, timeout=TIMEOUT_S)
            get(url, file, None)
    except requests.HTTPError as error:
        reason = str(error).partition(" for url")[0]  # such as 404 Client Error
        raise InputError(f"{url}: refused ({reason}); {how_else}") from error
    except requests.RequestException as error:
        raise InputError(
            f"{url}: cannot be downloaded ({type(error).__name__}); go online and "
            f"run this again, or {how_else}"
        ) from error


def unpack(archive_file: Path, archive: Archive, folder: Path) -> None:
    """Unpack the files on the archive's list; ignore all other members.

    Only the last part of a member's name counts, so no member chooses its folder.

    Args:
        archive_file: A ZIP archive.
        archive: Its list of files.
        folder: Made whole or not at all.

    Raises:
        InputError: Not a ZIP archive, or a listed file is missing or altered.
        OSError: The disk is full or the folder not writable.
    """
    try:
        opened = zipfile.ZipFile(archive_file)
    except BAD_ZIP as error:
        raise InputError(
            f"{archive_file} is not a readable ZIP archive ({error}); get it again "
            f"from {archive.url}"
        ) from error
    found: dict[str, str] = {}
    with opened, building(folder) as temporary:
        members = {PurePosixPath(m.filename).name: m for m in opened.infolist()}
        for path, published in archive.hashes.items():
            member = members.get(PurePosixPath(path).name)
            if member is None:
                continue
            content = _read_member(opened, member)
            digest = hashlib.sha256(content).hexdigest()
            found[PurePosixPath(path).stem] = digest
            if digest == published:
                target = temporary / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        if differences := archive.differences(found):
            raise InputError(
                f"{archive_file} is not the published archive of {archive.corpus}: "
                f"{differences}; nothing was unpacked. Get it again from "
                f"{archive.url}, or unpack it by hand into {folder} and give "
                "--accept_altered"
            )


def _read_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """At most `FILE_LIMIT_BYTES` of a member; b"" if it is damaged. Hashes decide."""
    if member.compress_type not in COMPRESSIONS:
        return b""
    try:
        with opened.open(member) as file:
            return file.read(FILE_LIMIT_BYTES)
    except BAD_ZIP:
        return b""


def main(argv: Sequence[str] | None = None) -> int:
    """Get a corpus, check it and print its folder; see the module's docstring."""
    parser = Parser(
        description="Download a corpus, or unpack a local copy of its archive, and "
        "check every file."
    )
    parser.add_argument("dataset_name", help="corpus, such as EMO-DB")
    parser.add_argument("--archive", type=Path, help="local copy of the archive")
    parser.add_argument(
        "--data_dir", type=Path, default=PROJECT / "data", help="folder of the corpora"
    )
    args = parser.parse_args(argv)
    corpus = corpus_by_name(args.dataset_name)
    if corpus.archive is None:
        raise InputError(
            f"{corpus.name} has no archive to download. {corpus.how_to_get}".rstrip()
        )
    folder = args.data_dir / corpus.folder_names[0]
    fetch_corpus(corpus.archive, folder, archive_file=args.archive)
    manifest = load_manifest(corpus, args.data_dir)
    print(f"{corpus.name}: {len(manifest.utterances)} files in {folder}, as published")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
