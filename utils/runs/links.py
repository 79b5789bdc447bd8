"""A run folder from elsewhere holds only files and folders."""

import os
from pathlib import Path

from hyperparameters import InputError


def refuse_links(folder: Path) -> None:
    """Refuse a run folder that holds anything but files and folders.

    Run folders are copied from other people and machines: whatever a link or a pipe in
    one leads to must be neither read nor overwritten.

    Args:
        folder: The run folder; it may be a link itself, or missing.

    Raises:
        InputError: Which entry it is.
    """
    left = [folder] if folder.is_dir() else []
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    raise InputError(
                        f"{entry.path}: must be a file or a folder, is a link, a pipe "
                        "or a device; replace it by a copy, or remove it"
                    )
