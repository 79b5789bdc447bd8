"""The class names of a model: its own, or as `--labels` gives them."""

from pathlib import Path

from hyperparameters import InputError


def named_classes(
    path: Path, stored: tuple[str, ...] | None, labels: str | None
) -> tuple[str, ...]:
    """A model's classes: as the user names them, else as stored with the model.

    Args:
        path: The model, for the message.
        stored: Names that came with the model; None where none did.
        labels: `--labels`: other words, such as a corpus's, for the same outputs.

    Raises:
        InputError: Neither, or the stored names in another order: that would answer
            wrongly without any error.
    """
    if labels is None and stored is None:
        raise InputError(
            f"{path}: does not name its classes; give them with --labels (a file with "
            "one a line, or names with commas between)"
        )
    given = stored or () if labels is None else parse_labels(labels)
    if stored and given != stored and set(given) == set(stored):
        raise InputError(
            f"--labels names the classes of {path} in another order than the model "
            f"itself ({', '.join(stored)}); leave it out"
        )
    return given


def parse_labels(labels: str) -> tuple[str, ...]:
    """Class names from `--labels`.

    Args:
        labels: Path of a text file with one name a line, or names with commas between.

    Raises:
        InputError: No such file, or no or repeated names in it.
    """
    parts = labels.split(",")
    if len(parts) == 1:
        try:
            parts = Path(labels).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:  # ValueError: not UTF-8
            raise InputError(
                "--labels must be a text file with one class a line, or names with "
                f"commas between, got {labels!r}"
            ) from error
    names = tuple(part.strip() for part in parts if part.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(f"--labels must name each class once, got {labels!r}")
    return names
