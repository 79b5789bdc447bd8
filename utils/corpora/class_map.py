"""Common names of emotions, to score a model of one corpus on another corpus."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hyperparameters import InputError
from utils.cli import normal
from utils.corpora import MODULES, corpus_by_name

COMMON_NAMES = (
    *("anger", "boredom", "calm", "disgust", "fear"),
    *("happiness", "neutral", "sadness", "surprise"),
)
# Usual names of classes in users' own folders and manifests, by common name.
EVERYDAY_NAMES = {
    "anger": ("ang", "angry"),
    "boredom": ("bor", "bored"),
    "disgust": ("dis", "disgusted"),
    "fear": ("fea", "afraid", "anxiety", "anxious", "fearful", "scared"),
    "happiness": ("hap", "happy", "joy", "joyful"),
    "neutral": ("neu", "neutrality"),
    "sadness": ("sad",),
    "surprise": ("sur", "surprised"),
}
# white space, `_`, `/`, and the hyphens and dashes of all keyboards
BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_/\u2010-\u2015-]+(?=[^\W_])")


class SharedClasses(NamedTuple):
    """Classes of a model and of a corpus, paired.

    Attributes:
        pairs: (model's class, corpus's class) of one common name, in the order of the
            model's classes.
        model_only: Classes that only the model has.
        corpus_only: Classes that only the corpus has.
    """

    pairs: tuple[tuple[str, str], ...]
    model_only: tuple[str, ...]
    corpus_only: tuple[str, ...]


def class_map() -> dict[str, str]:
    """Common name by class, for all registered corpora and everyday names."""
    merged = {name: name for name in COMMON_NAMES}
    for common, names in EVERYDAY_NAMES.items():
        merged |= dict.fromkeys(names, common)
    for corpus_name in MODULES:
        merged.update(corpus_by_name(corpus_name).class_map)
    return merged


def plain_name(label: str) -> str:
    """A class's name as `class_map` writes names: `Anxiety / Fear` is `anxiety_fear`.

    Only signs between letters or digits become `_`: `--` and `-` stay different.
    """
    return BETWEEN_WORDS.sub("_", normal(label).casefold().strip())


def common_names(classes: Sequence[str]) -> list[str]:
    """What each class is commonly called; its plain name if unknown."""
    common, plain = class_map(), map(plain_name, classes)
    return [common.get(label, label) for label in plain]


def same_meaning(classes: Sequence[str]) -> dict[str, list[str]]:
    """Groups of classes with one common name, such as `angry` and `anger`.

    Returns:
        The classes of each group by their common name.
    """
    groups: dict[str, list[str]] = {}
    for label, name in zip(classes, common_names(classes), strict=True):
        groups.setdefault(name, []).append(label)
    return {name: group for name, group in groups.items() if len(group) > 1}


def check_meanings(place: str, classes: Sequence[str], remedy: str) -> None:
    """Refuse classes that mean the same, such as `angry` and `anger`.

    Args:
        place: File or folder, for the message.
        classes: In any order.
        remedy: What to do, for the message.

    Raises:
        InputError: Two classes have one common name.
    """
    for name, same in same_meaning(classes).items():
        raise InputError(
            f"{place}: classes {', '.join(same)} mean the same ({name}); {remedy}"
        )


def shared_classes(
    model_classes: Sequence[str], corpus_classes: Sequence[str]
) -> SharedClasses:
    """Pair the classes of a model with those of a corpus.

    A class without a common name is paired with the same name only, in any case.

    Args:
        model_classes: In the order of the model's outputs.
        corpus_classes: As in the corpus's manifest.

    Raises:
        InputError: Fewer than two classes are shared, or two classes of the model or
            of the corpus have the same common name.
    """
    of_model = _by_common_name(model_classes, "the model")
    of_corpus = _by_common_name(corpus_classes, "the corpus")
    shared = [name for name in of_model if name in of_corpus]
    if len(shared) < 2:
        raise InputError(
            f"the model's classes ({', '.join(model_classes)}) and the corpus's "
            f"({', '.join(corpus_classes)}) share {len(shared)}; at least two are "
            "needed to score one on the other: name the model's outputs in the "
            "corpus's words with --labels"
        )
    return SharedClasses(
        tuple((of_model[name], of_corpus[name]) for name in shared),
        tuple(label for name, label in of_model.items() if name not in of_corpus),
        tuple(label for name, label in of_corpus.items() if name not in of_model),
    )


def _by_common_name(classes: Sequence[str], owner: str) -> dict[str, str]:
    """Each class by its common name."""
    for name, same in same_meaning(classes).items():
        raise InputError(
            f"classes {', '.join(same)} of {owner} all mean {name}; only one may"
        )
    return dict(zip(common_names(classes), classes, strict=True))
