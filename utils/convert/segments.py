"""Cut a corpus into segments of one length, as training does first.

python -m utils.convert.segments -dn EMO-DB -id 3
"""

import sys
from collections.abc import Sequence

from utils import options
from utils.cli import Parser, run_main, terminal_bar
from utils.corpora.load import read_segments


def main(argv: Sequence[str] | None = None) -> int:
    """Write the segments, or find them written; name their folder.

    Args:
        argv: Without the program's name; the process's own where None.

    Returns:
        Exit status 0; mistakes in the input are raised.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(prog="python -m utils.convert.segments", description=__doc__)
    options.add_data_paths(options.add_settings(parser, words)["data"])
    args = parser.parse_args(words)
    settings = options.settings_from(args)[0]  # no segment depends on the seed
    manifest, segments, _ = read_segments(
        settings, options.data_paths_from(args), terminal_bar
    )
    found = f"{len(segments.paths):,} segments: {segments.folder}"
    print(*manifest.info, *manifest.warnings, found, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
