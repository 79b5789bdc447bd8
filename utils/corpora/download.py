"""Getting a corpus: its official archive, or a local copy of it, checked and unpacked.

    python -m utils.corpora.download EMO-DB --archive download.zip --data_dir data

The host may be plain HTTP and the copy anybody's: of an archive only bytes whose
SHA-256 stands in the repository's list are ever written, under the list's own names.
"""

import argparse
import hashlib
import lzma
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import requests
from tqdm import tqdm

from hyperparameters import InputError
from utils.cli import Parser, run_main
from utils.corpora import Archive, corpus_by_name, load_manifest
from utils.files import PROJECT, building, locked

TIMEOUT_S = (10.0, 30.0)  # to connect, and between two pieces
ATTEMPTS = 3  # each goes on where the last was cut
PIECE_BYTES = 2**16
ARCHIVE_LIMIT_BYTES = 2**30  # EMO-DB has 48 MB unpacked; an endless answer is refused
FILE_LIMIT_BYTES = 2**24  # unpacked; EMO-DB's longest file has 0.3 MB
# What zipfile can read piece by piece; it inflates others whole, whatever is asked for.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on a file that is none, or on a damaged, encrypted or unsupported
# member; bz2 and an unreadable file raise OSError.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
)


def provide(
    archive: Archive, folder: Path, *, archive_file: Path | None = None
) -> None:
    """Make a corpus's folder, whole or not at all, unless it is there.

    Args:
        archive: What to get and what it must hold.
        folder: The folder to make, such as `data/EMO-DB`.
        archive_file: A local copy of the archive. Without one, a file beside the
            folder, named like it or like the official archive (`data/EMO-DB.zip`,
            `data/download.zip`), is taken; else it is downloaded.

    Raises:
        InputError: No archive to be had, a damaged one, or no room for it.
    """
    if folder.is_dir():  # first of all: where it lies may be read-only
        return
    names = (f"{folder.name}.zip", PurePosixPath(archive.url).name)
    beside = [folder.parent / name for name in names]
    try:
        with locked(folder):
            if folder.is_dir():  # another process was faster
                return
            local = archive_file or next(filter(Path.is_file, beside), None)
            if local is None:
                _download_and_unpack(archive, folder)
            else:
                unpack(local, archive, folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); make room or "
            "name another place with --data_dir"
        ) from error


def _download_and_unpack(archive: Archive, folder: Path) -> None:
    """Download, going on with an earlier part; start over once if that went wrong."""
    part = folder.with_name(f"{folder.name}.zip.part")
    for is_last in (False, True):
        try:
            is_pieced = fetch(archive.url, part, name=archive.corpus)
        except InputError as error:
            raise InputError(
                f"{archive.corpus} is not in {folder.parent}, and {error}; go online "
                "and run this again, or save a copy of the archive as "
                f"{folder.with_name(folder.name + '.zip')}"
            ) from error
        try:
            unpack(part, archive, folder)
            return
        except InputError:  # the pieces may come from two different files
            if is_last or not is_pieced:
                raise
        finally:
            part.unlink()


def fetch(
    url: str, part: Path, *, name: str, limit_bytes: int = ARCHIVE_LIMIT_BYTES
) -> bool:
    """Download a file, going on where an earlier download into `part` was cut.

    Args:
        url: HTTP or HTTPS address.
        part: The file to fill; stays as it is where the connection is cut for good.
        name: Shown with the progress bar, on stderr.
        limit_bytes: A larger file is refused.

    Returns:
        Whether it was put together from several answers of the server, so that its
        pieces may not belong together.

    Raises:
        InputError: Unreachable, refused, too large, or cut again and again.
        OSError: The disk is full or the folder not writable.
    """
    for attempt in range(1, ATTEMPTS + 1):
        size_before = _size(part)
        try:
            is_pieced = _receive(url, part, name=name, limit_bytes=limit_bytes)
        except requests.RequestException as error:
            if attempt == ATTEMPTS or _size(part) <= size_before:
                raise InputError(
                    f"{url} cannot be downloaded ({type(error).__name__}, "
                    f"{_size(part)} bytes so far)"
                ) from error
        else:
            break
    if _size(part) > limit_bytes:
        part.unlink()
        raise InputError(f"{url} is larger than {limit_bytes} bytes: not the archive")
    return is_pieced


def _receive(url: str, part: Path, *, name: str, limit_bytes: int) -> bool:
    """One request; whether the server went on from what `part` held before."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity"}  # else sizes are of something else
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if start and answer.status_code == requests.codes.range_not_satisfiable:
            return True  # nothing is left to send
        if not answer.ok:
            raise InputError(f"{url} is refused (HTTP {answer.status_code})")
        is_resumed = answer.status_code == requests.codes.partial_content
        done = start if is_resumed else 0  # a server without ranges starts over
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        with (
            part.open("ab" if is_resumed else "wb") as file,
            tqdm(
                desc=name, initial=done, total=total, unit="B", unit_scale=True
            ) as bar,
        ):
            for piece in answer.iter_content(PIECE_BYTES):
                bar.update(file.write(piece))
                if bar.n > limit_bytes:
                    break
    return is_resumed


def _size(part: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return part.stat().st_size if part.exists() else 0


def unpack(archive_file: Path, archive: Archive, folder: Path) -> None:
    """Unpack the files that the archive's list names, and nothing else.

    A member counts by the last part of its name; other members, and where any member
    wants to lie, are ignored.

    Args:
        archive_file: A ZIP archive.
        archive: Its list of files.
        folder: Made whole or not at all.

    Raises:
        InputError: Not a ZIP archive, or a file of the list is missing or altered.
        OSError: The disk is full or the folder not writable.
    """
    try:
        opened = zipfile.ZipFile(archive_file)
    except ZIP_ERRORS as error:
        raise InputError(
            f"{archive_file} is not a readable ZIP archive ({error}); get it again "
            f"from {archive.url}"
        ) from error
    found: dict[str, str] = {}
    with opened, building(folder) as temporary:
        members = {PurePosixPath(m.filename).name: m for m in opened.infolist()}
        for path, wanted in archive.hashes.items():
            member = members.get(PurePosixPath(path).name)
            if member is None:
                continue
            content = _read_member(opened, member)
            found_hash = hashlib.sha256(content).hexdigest()
            found[PurePosixPath(path).stem] = found_hash
            if found_hash == wanted:
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
    """A member's bytes; none where it is damaged or too large, so no hash fits."""
    if member.compress_type not in COMPRESSIONS or member.file_size > FILE_LIMIT_BYTES:
        return b""
    try:
        with opened.open(member) as file:
            content = file.read(FILE_LIMIT_BYTES + 1)  # `file_size` may be a lie
    except ZIP_ERRORS:
        return b""
    return content if len(content) <= FILE_LIMIT_BYTES else b""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; see the module's docstring."""
    parser = Parser(
        description="Download a corpus, or unpack a local copy of its archive, and "
        "check every file."
    )
    parser.add_argument("dataset_name", help="corpus, such as EMO-DB")
    parser.add_argument("--archive", type=Path, help="local copy of the archive")
    parser.add_argument(
        "--data_dir", type=Path, default=PROJECT / "data", help="folder of the corpora"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Get a corpus, check it and say where it is."""
    args = parse_args(argv)
    corpus = corpus_by_name(args.dataset_name)
    if corpus.archive is None:
        raise InputError(
            f"{corpus.name} has no archive to download. {corpus.how_to_get}".rstrip()
        )
    folder = args.data_dir / corpus.folder_names[0]
    provide(corpus.archive, folder, archive_file=args.archive)
    manifest = load_manifest(corpus, args.data_dir, args.data_dir)
    print(f"{corpus.name}: {len(manifest.utterances)} files in {folder}, as published")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
