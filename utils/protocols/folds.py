"""Protocols: who trains, who chooses the epoch, who is tested.

Each protocol is a function from utterances and settings to folds, independent of the
order in which files were listed. Random draws come from `RandomState`, whose streams
NumPy keeps.
"""

import enum
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hyperparameters import InputError, Settings
from utils.corpora.manifest import Utterance

Utterances = Sequence[Utterance]


class Stream(enum.IntEnum):
    """Everything that is drawn at random of one seed; the numbers must stay."""

    PUBLISHED_FOLDS = 0
    PAPER_HOLD_OUTS = 1
    RANDOM_FOLDS = 2
    RANDOM_VALIDATION = 3
    INITIAL_WEIGHTS = 4
    EPOCH_ORDER = 5
    CALIBRATION = 6


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One training: utterance ids, sorted, of each set.

    Attributes:
        number: 0-based.
        train: Ids that train.
        validation: Ids that choose the epoch; empty where the test set or nothing does.
        test: Ids that are scored; empty under `all`.
        chosen_on: `test`, `validation` or `none`: what chose the epoch that is kept.
    """

    number: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    chosen_on: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A registry entry.

    Attributes:
        meaning: One line, in plain words.
        test_sets: Utterances and settings to the list of test sets.
        inner: Utterances, test sets, fold number and settings to the set that chooses
            the epoch; None where the test set does.
        always_withholds: The inner set never trains, even where nothing is chosen.
    """

    meaning: str
    test_sets: Callable[[Utterances, Settings], list[set[str]]]
    inner: Callable[[Utterances, list[set[str]], int, Settings], set[str]] | None = None
    always_withholds: bool = False


def make_folds(utterances: Utterances, settings: Settings) -> tuple[Fold, ...]:
    """All folds of the settings' protocol.

    Args:
        utterances: The manifest's utterances of the chosen part.
        settings: Protocol, selection, number of folds, seed.

    Returns:
        Folds, numbered from 0.

    Raises:
        InputError: The corpus cannot serve the protocol (no speakers, too few
            utterances of a class), or a choice that the protocol does not offer.
    """
    if settings.data.protocol not in PROTOCOLS:
        raise InputError(
            f"--protocol must be one of {', '.join(PROTOCOLS)}, "
            f"got {settings.data.protocol!r}"
        )
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    sets = PROTOCOLS[settings.data.protocol].test_sets(ordered, settings)
    return tuple(_fold(ordered, sets, number, settings) for number in range(len(sets)))


def _fold(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> Fold:
    """Complete one test set with training and validation sets."""
    protocol, test = PROTOCOLS[settings.data.protocol], sets[number]
    selects = settings.data.select == "best" and bool(test)
    inner: set[str] = set()
    if protocol.inner and (selects or protocol.always_withholds):
        inner = protocol.inner(ordered, sets, number, settings)
        if selects and not inner:
            raise InputError(
                f"fold {number}: protocol {settings.data.protocol} finds no utterance "
                "to choose the epoch on; use --select last"
            )
    train = tuple(u.id for u in ordered if u.id not in test | inner)
    _check_classes(ordered, train, number)
    chosen_on = "none"
    if selects:
        chosen_on = "validation" if protocol.inner else "test"
    return Fold(
        number=number,
        train=train,
        validation=tuple(sorted(inner)) if selects else (),
        test=tuple(sorted(test)),
        chosen_on=chosen_on,
    )


def _check_classes(ordered: Utterances, train: Sequence[str], number: int) -> None:
    """Refuse a fold whose training data lack a class."""
    members = set(train)
    trained = {u.label for u in ordered if u.id in members}
    if absent := sorted({u.label for u in ordered} - trained):
        raise InputError(
            f"fold {number}: no training utterance of class {', '.join(absent)}; "
            "use fewer folds (--num_folds) or more data"
        )


def random_state(
    settings: Settings, stream: Stream, *numbers: int
) -> np.random.RandomState:
    """An independent generator, the same on every NumPy version.

    Args:
        settings: Their seed counts.
        stream: What is drawn.
        numbers: Fold, epoch: each has a stream of its own.
    """
    return np.random.RandomState([settings.training.seed, int(stream), *numbers])


def _by_class(utterances: Utterances) -> dict[str, list[str]]:
    """Ids by class, classes in alphabetical order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        groups[utterance.label].append(utterance.id)
    return dict(sorted(groups.items()))


def _shuffled(ids: list[str], draw: np.random.RandomState) -> list[str]:
    """The ids in random order."""
    return [ids[i] for i in draw.permutation(len(ids))]


def speaker_groups(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Speakers dealt to `num_folds` folds, or one a fold where there are no more.

    Raises:
        InputError: An utterance's speaker is unknown.
    """
    unknown = [u.id for u in utterances if u.speaker is None]
    if unknown:
        raise InputError(
            f"protocol {settings.data.protocol} needs the speaker of every utterance; "
            f"{len(unknown)} have none, {unknown[0]} for one: add a `speaker` column "
            "to the manifest, or use --protocol random"
        )
    speakers = sorted({str(u.speaker) for u in utterances})
    folds = min(settings.data.num_folds, len(speakers))
    if folds < 2:
        raise InputError(
            f"protocol {settings.data.protocol} needs at least 2 speakers, got "
            f"{len(speakers)}: use --protocol random"
        )
    return [set(speakers[number::folds]) for number in range(folds)]


def _published(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Each fold has one speaker's class counts, its utterances drawn from all speakers.

    The released code's "split by speaker" in effect: its segmenter renames files to a
    random permutation within each class, so the names no longer tell the speaker.
    """
    if all(u.speaker is None for u in utterances):
        return _stratified(utterances, settings)
    groups = speaker_groups(utterances, settings)
    draw = random_state(settings, Stream.PUBLISHED_FOLDS)
    renamed: dict[str, str] = {}
    for ids in _by_class(utterances).values():
        renamed.update(zip(ids, _shuffled(ids, draw), strict=True))
    return [{renamed[u.id] for u in utterances if u.speaker in g} for g in groups]


def _paper(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Random hold-outs that overlap, as the paper's matrices show: 10 × 107 = 1070."""
    ids = [utterance.id for utterance in utterances]
    size = round(settings.data.test_share * len(ids))
    if not size:
        raise InputError(
            f"--test_share must be more than half of one in {len(ids)} utterances, "
            f"got {settings.data.test_share:g}"
        )
    draws = [
        random_state(settings, Stream.PAPER_HOLD_OUTS, number)
        for number in range(settings.data.num_folds)
    ]
    return [set(_shuffled(ids, draw)[:size]) for draw in draws]


def _stratified(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Each class dealt at random to `num_folds` folds, in one continuing round."""
    folds: list[set[str]] = [set() for _ in range(settings.data.num_folds)]
    draw, position = random_state(settings, Stream.RANDOM_FOLDS), 0
    for name, ids in _by_class(utterances).items():
        if len(ids) < 2:
            raise InputError(f"class {name} has one utterance; 2 are needed to test it")
        for utterance_id in _shuffled(ids, draw):
            folds[position % len(folds)].add(utterance_id)
            position += 1
    if not all(folds):
        raise InputError(
            f"--num_folds must be at most the {len(utterances)} utterances, "
            f"got {len(folds)}"
        )
    return folds


def _inner_stratified(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> set[str]:
    """A share of 1 / num_folds of each class of the training data, at least one."""
    draw = random_state(settings, Stream.RANDOM_VALIDATION, number)
    chosen: set[str] = set()
    for ids in _by_class([u for u in ordered if u.id not in sets[number]]).values():
        if len(ids) > 1:
            count = max(1, round(len(ids) / settings.data.num_folds))
            chosen.update(_shuffled(ids, draw)[:count])
    return chosen


def _next_test_set(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> set[str]:
    """The next fold's speaker, rotating."""
    if len(sets) < 3:
        raise InputError(
            f"protocol {settings.data.protocol} needs a third speaker to choose the "
            "epoch on; use --select last"
        )
    return sets[(number + 1) % len(sets)]


def _same_session(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> set[str]:
    """The others who speak in the test speaker's session."""
    sessions = {u.session for u in ordered if u.id in sets[number]}
    return {u.id for u in ordered if u.session in sessions} - sets[number]


def _speakers(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Leave one speaker (or group of speakers) out."""
    groups = speaker_groups(utterances, settings)
    return [{u.id for u in utterances if u.speaker in group} for group in groups]


def _session_speakers(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Each speaker alone, session by session."""
    lacking = [u.id for u in utterances if u.session is None or u.speaker is None]
    if lacking:
        raise InputError(
            "protocol session needs the session and the speaker of every utterance; "
            f"{len(lacking)} lack one, {lacking[0]} for one: use --protocol speaker or "
            "random"
        )
    pairs = sorted({(str(u.session), str(u.speaker)) for u in utterances})
    if len({session for session, _ in pairs}) < 2:
        raise InputError("protocol session needs at least 2 sessions")
    return [
        {u.id for u in utterances if (u.session, u.speaker) == pair} for pair in pairs
    ]


def _nobody(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """One empty test set: everyone trains."""
    return [set()]


PROTOCOLS = {
    "published": Protocol(
        meaning="each fold has one speaker's class counts, its utterances drawn at "
        "random from all speakers (the released code's, in effect)",
        test_sets=_published,
    ),
    "paper": Protocol(
        meaning="random 20 % hold-outs that overlap, as the paper's matrices show",
        test_sets=_paper,
    ),
    "random": Protocol(
        meaning="class-stratified random folds, the test fold touched once",
        test_sets=_stratified,
        inner=_inner_stratified,
    ),
    "speaker": Protocol(
        meaning="leave speakers out, one a fold or a group; each is tested once",
        test_sets=_speakers,
        inner=_next_test_set,
    ),
    "session": Protocol(
        meaning="leave one session out, one of its speakers validates, another tests",
        test_sets=_session_speakers,
        inner=_same_session,
        always_withholds=True,
    ),
    "all": Protocol(
        meaning="every utterance trains, nothing is selected, no score",
        test_sets=_nobody,
    ),
}
