"""Take the sound of a folder tree of videos as 16 kHz mono WAV.

python -m utils.convert.video_to_audio SOURCE TARGET [--sample_rate_hz 16000]
"""

import sys
from collections.abc import Sequence

from utils.audio.find import VIDEO_SUFFIXES
from utils.cli import run_main
from utils.convert.tree import run

TEXT = (
    "Write the first sound track of every video in a folder tree as mono 16-bit WAV. "
    "The tree is kept, the originals are only read."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; 1 where a file failed. A video without sound is no failure."""
    return run(argv, VIDEO_SUFFIXES, module="utils.convert.video_to_audio", text=TEXT)


if __name__ == "__main__":
    sys.exit(run_main(main))
