"""The protocol for own recordings, if none is given."""

import re
from pathlib import Path

import pytest

import train
from utils import options
from utils.protocols.command import with_default_protocol


def write_manifest(folder: Path, speakers: list[str], takes: int = 4) -> Path:
    """Recordings of each speaker in two classes; the files are empty."""
    rows = ["path,label,speaker"]
    for speaker in speakers:
        for number in range(takes):
            path = folder / f"{speaker}x{number}.wav"
            path.touch()
            rows.append(f"{path.name},{('sad', 'joy')[number % 2]},{speaker}")
    (folder / "m.csv").write_text("\n".join(rows))
    return folder / "m.csv"


def chosen(path: Path, *words: str) -> tuple[str, str]:
    """Protocol and selection of one command line."""
    args = train.parse_args(["-dn", "MINE", "--manifest", str(path), *words])
    data_paths = options.data_paths_from(args)
    found = with_default_protocol(options.settings_from(args), args, data_paths)
    return found[0].data.protocol, found[0].data.select


ALONE = "the score holds for these voices alone"
NEW = "it tests on voices that were not trained on"


@pytest.mark.parametrize(
    ("speakers", "words", "expected", "line"),
    [
        (
            ["a", "b", "c"],
            "",
            ("speaker", "best"),
            f"--protocol speaker, because .*{NEW}",
        ),
        (
            ["a", "b"],
            "",
            ("speaker", "last"),
            "--protocol speaker --select last, becau",
        ),
        (["a", "b"], "--select best", ("random", "best"), ALONE),
        (["a"], "", ("random", "best"), ALONE),
        ([""], "--select last", ("random", "last"), ALONE),
        (["a", "b", "c"], "--protocol published", ("published", "best"), "^$"),
        (["a", "b", "c"], "--protocol all", ("all", "best"), "^$"),
        (["a", "b", "c"], "--recipe short", ("speaker", "last"), NEW),
    ],
)
def test_the_most_honest_protocol_that_the_recordings_allow(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    speakers: list[str],
    words: str,
    expected: tuple[str, str],
    line: str,
) -> None:
    path = write_manifest(tmp_path, speakers, takes=12)
    assert chosen(path, *words.split()) == expected
    printed = capsys.readouterr().err
    assert printed.count("\n") <= 1
    assert re.search(line, printed.strip())


def test_published_corpora_keep_the_published_protocol(tmp_path: Path) -> None:
    args = train.parse_args(["-dn", "RAVDESS", "--data_dir", str(tmp_path)])
    several = options.settings_from(args)
    found = with_default_protocol(several, args, options.data_paths_from(args))
    assert found == several
