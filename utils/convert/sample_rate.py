"""Convert a folder tree of recordings to 16 kHz mono WAV.

python -m utils.convert.sample_rate SOURCE TARGET [--sample_rate_hz 16000]
"""

import sys
from collections.abc import Sequence

from utils.audio.find import AUDIO_SUFFIXES
from utils.cli import run_main
from utils.convert.tree import run

TEXT = (
    "Convert a folder tree of recordings, at any rate and in any format, to mono "
    "16-bit WAV. The tree is kept, the originals are only read."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; 1 where a file failed."""
    return run(argv, AUDIO_SUFFIXES, module="utils.convert.sample_rate", text=TEXT)


if __name__ == "__main__":
    sys.exit(run_main(main))
