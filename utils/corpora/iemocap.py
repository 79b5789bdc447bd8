"""IEMOCAP (Busso et al., 2008), read from the licensed release as unpacked.

Recordings are `Session1/sentences/wav/<dialog>/<utterance>.wav`, labels the lines
`[start - end] utterance code [valence, activation, dominance]` of
`Session1/dialog/EmoEvaluation/<dialog>.txt`. Speaker, session and part come from the
utterance's name. There are four classes; excitement counts as happiness, as in most
papers and in Light-SERNet's `-at all`. `IEMOCAP-HAPPINESS` leaves excitement out.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hyperparameters import InputError
from utils.audio.find import WAV_ONLY, audio_files, is_hidden, passed_over_line
from utils.corpora import Corpus
from utils.corpora.manifest import Manifest, Utterance
from utils.corpora.reading import compare_counts
from utils.files import read_regular

CODES = ("ang", "dis", "exc", "fea", "fru", "hap", "neu", "oth", "sad", "sur", "xxx")
HAPPINESS_ALONE = {
    "ang": "anger",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
}
LABEL_OF_CODE = {**HAPPINESS_ALONE, "exc": "happiness"}
# Happiness alone has 595 utterances, excitement 1041.
DOCUMENTED = {"anger": 1103, "happiness": 1636, "neutral": 1708, "sadness": 1084}
CLASSES = tuple(DOCUMENTED)
DOCUMENTED_ALONE = {**DOCUMENTED, "happiness": 595}
DOCUMENTED_IMPRO_ALONE = 2280  # the paper's improvised experiments

SESSIONS = ("Session1", "Session2", "Session3", "Session4", "Session5")
# The letter after the session is the actor who wears markers in that recording; the one
# before the number is the speaker.
UTTERANCE = re.compile(
    r"Ses0(?P<session>[1-5])[FM]_(?P<part>impro|script)\d\d\w*_(?P<speaker>[FM])\d+"
)
MOST_BYTES = 2**24  # of the labels of a dialog
LABEL_LINE = re.compile(r"\[[^\]]*\]\s+(?P<utterance>\S+)\s+(?P<code>\S+)\s+\[[^\]]*\]")


def read_release(
    folder: Path,
    corpus: str,
    *,
    label_of_code: Mapping[str, str],
    documented: Mapping[str, int],
    documented_impro: int | None = None,
) -> Manifest:
    """Read the release from a folder, or from one or two levels below it.

    Args:
        folder: Holds `Session1` ... `Session5`, or a folder that does; only read.
        corpus: Name of the manifest.
        label_of_code: Class by label code; utterances with other codes are left out.
        documented: Documented number of utterances by class.
        documented_impro: Documented number of improvised utterances; None if unknown.

    Returns:
        Manifest with speaker, session and part of each utterance.

    Raises:
        InputError: The release or a dialog's labels are missing, or a label line has
            an unknown code or another form.
    """
    release = _find_release(folder, corpus)
    utterances: list[Utterance] = []
    unlabelled: list[str] = []
    unrecorded: list[str] = []
    for session in (release / name for name in SESSIONS):
        files = _recordings(session)
        codes = _read_session(session, {_dialog(name) for name in files}, corpus)
        used = {name for name, code in codes.items() if code in label_of_code}
        unlabelled += files.keys() - codes.keys()
        unrecorded += used - files.keys()
        utterances += [
            dataclasses.replace(files[name], label=label_of_code[codes[name]])
            for name in used & files.keys()
        ]
    info, warnings = compare_counts(corpus, utterances, documented)
    improvised = sum(utterance.part == "impro" for utterance in utterances)
    line = f"{corpus}: {improvised} of them improvised"
    if documented_impro is not None:
        line += f" ({documented_impro} documented)"
        if improvised != documented_impro:
            warnings += (f"{line}: the copy may be incomplete or altered",)
    absent = [name for name in SESSIONS if not (release / name).is_dir()]
    return Manifest(
        corpus=corpus,
        classes=CLASSES,
        utterances=tuple(utterances),
        info=(*info, line),
        warnings=(
            *warnings,
            *passed_over_line(corpus, absent, "sessions not in the folder"),
            *passed_over_line(corpus, unlabelled, "recordings without a label"),
            *passed_over_line(corpus, unrecorded, "labels without a recording"),
        ),
    )


def _find_release(folder: Path, corpus: str) -> Path:
    """The folder that holds the sessions: this one, or one up to two levels below."""
    for pattern in ("Session[1-5]", "*/Session[1-5]", "*/*/Session[1-5]"):
        found = sorted(
            path.parent
            for path in folder.glob(pattern)
            if path.is_dir() and not is_hidden(path.parent.name)
        )
        if found:
            return found[0]
    raise InputError(
        f"{corpus}: no Session1 ... Session5 in {folder}; unpack "
        "IEMOCAP_full_release there as it is"
    )


def _dialog(utterance: str) -> str:
    """The recording that contains an utterance, such as Ses05M_script01_1b."""
    return utterance.rpartition("_")[0]


def _recordings(session: Path) -> dict[str, Utterance]:
    """Utterances of a session by id, without labels; other files are ignored."""
    folder = session / "sentences" / "wav"
    found = {}
    for path in audio_files(folder, WAV_ONLY) if folder.is_dir() else []:
        match = UTTERANCE.fullmatch(path.stem)
        if match and path.parent.name == _dialog(path.stem):
            found[path.stem] = Utterance(
                id=path.stem,
                path=path,
                label="",
                speaker=f"Ses0{match['session']}{match['speaker']}",
                part=match["part"],
                session=match["session"],
            )
    return found


def _read_session(session: Path, dialogs: set[str], corpus: str) -> dict[str, str]:
    """Label code by utterance id, for all labelled utterances of a session.

    Subfolders of EmoEvaluation hold the files of single raters and are not read.
    """
    folder = session / "dialog" / "EmoEvaluation"
    labelled = {path.stem for path in folder.glob("*.txt") if not is_hidden(path.name)}
    if missing := sorted(dialogs - labelled):
        raise InputError(
            f"{corpus}: {folder / missing[0]}.txt is missing, so that dialog's "
            "recordings have no labels; unpack the release again"
        )
    codes: dict[str, str] = {}
    for dialog in sorted(labelled):
        codes.update(_read_labels(folder / f"{dialog}.txt", corpus))
    return codes


def _read_labels(path: Path, corpus: str) -> Iterator[tuple[str, str]]:
    """Utterance and code per label line; the lines of raters are skipped."""
    lines = read_regular(path, MOST_BYTES).decode("latin-1").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("["):
            continue
        match = LABEL_LINE.fullmatch(line.strip())
        if match is None or UTTERANCE.fullmatch(match["utterance"]) is None:
            raise InputError(
                f"{corpus}: {path}, line {number}: expected [start - end], utterance, "
                f"code and [valence, activation, dominance], got {line.strip()!r}"
            )
        if match["code"] not in CODES:
            raise InputError(
                f"{corpus}: {path}, line {number}: unknown code {match['code']!r}; "
                f"known are {', '.join(CODES)}"
            )
        yield match["utterance"], match["code"]


CORPUS = Corpus(
    name="IEMOCAP",
    folder_names=("IEMOCAP", "IEMOCAP_full_release"),
    read=functools.partial(
        read_release,
        corpus="IEMOCAP",
        label_of_code=LABEL_OF_CODE,
        documented=DOCUMENTED,
    ),
    how_to_get="Ask for it at https://sail.usc.edu/iemocap and unpack "
    "IEMOCAP_full_release there.",
    licence="by USC SAIL, on request; not to be passed on",
)
