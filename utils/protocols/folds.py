"""Protocols: which utterances train, choose the epoch and are tested.

Folds do not depend on the order in which files are listed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hyperparameters import InputError, Settings
from utils.corpora.manifest import Utterance
from utils.random_streams import Stream, random_state

Utterances = Sequence[Utterance]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One training: the sorted utterance ids of each set.

    Attributes:
        number: 0-based.
        train: Ids that train.
        validation: Ids that choose the epoch; empty if the test set or nothing does.
        test: Ids that are scored; empty under `all`.
        chosen_on: The set that chooses the epoch: `test`, `validation` or `none`.
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
        meaning: One line for users.
        test_sets: Function from utterances and settings to the list of test sets.
        inner: Function from utterances, test sets, fold number and settings to the set
            that chooses the epoch; None if the test set does.
        always_withholds: The inner set never trains, even with `--select last`.
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
        InputError: The corpus does not suit the protocol (no speakers, too few
            utterances of a class).
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    sets = PROTOCOLS[settings.data.protocol].test_sets(ordered, settings)
    return tuple(_fold(ordered, sets, number, settings) for number in range(len(sets)))


def _fold(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> Fold:
    """Add the training and validation sets to one test set."""
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
    """Refuse a fold whose training set lacks a class."""
    members = set(train)
    trained = {u.label for u in ordered if u.id in members}
    if absent := sorted({u.label for u in ordered} - trained):
        raise InputError(
            f"fold {number}: no training utterance of class {', '.join(absent)}; "
            "use fewer folds (--num_folds) or more data"
        )


def _by_class(utterances: Utterances) -> dict[str, list[str]]:
    """Utterance ids by class, in alphabetical order of classes."""
    groups: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        groups[utterance.label].append(utterance.id)
    return dict(sorted(groups.items()))


def _shuffled(ids: list[str], draw: np.random.RandomState) -> list[str]:
    """The ids in random order."""
    return [ids[i] for i in draw.permutation(len(ids))]


def speaker_groups(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """Speakers dealt out to `num_folds` folds, or to fewer if there are fewer speakers.

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
    """Folds with one speaker's class counts, their utterances drawn from all speakers.

    This is the effect of the released code's "split by speaker": its segmenter renames
    files at random within each class, so file names no longer tell the speaker.
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
    """Each class dealt at random to the folds, in one round over all classes."""
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
    """1 / num_folds of each class of the training data, at least one utterance."""
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
    """The next fold's test set; the first one's for the last fold."""
    if len(sets) < 3:
        raise InputError(
            f"protocol {settings.data.protocol} needs a third speaker to choose the "
            "epoch on; use --select last"
        )
    return sets[(number + 1) % len(sets)]


def _same_session(
    ordered: Utterances, sets: list[set[str]], number: int, settings: Settings
) -> set[str]:
    """The other speakers of the test speaker's session."""
    sessions = {u.session for u in ordered if u.id in sets[number]}
    return {u.id for u in ordered if u.session in sessions} - sets[number]


def _speakers(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """One speaker, or group of speakers, per test set."""
    groups = speaker_groups(utterances, settings)
    return [{u.id for u in utterances if u.speaker in group} for group in groups]


def _session_speakers(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """One speaker per test set, in order of sessions."""
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
    counts = Counter(speaker for _, speaker in pairs)
    [(speaker, count)] = counts.most_common(1)
    if count > 1:
        raise InputError(
            f"protocol session needs each speaker in one session; speaker {speaker} is "
            f"in {count}: use --protocol speaker"
        )
    return [
        {u.id for u in utterances if (u.session, u.speaker) == pair} for pair in pairs
    ]


def _nobody(utterances: Utterances, settings: Settings) -> list[set[str]]:
    """One empty test set: every utterance trains."""
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
