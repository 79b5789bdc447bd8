"""How many recordings of each class and speaker a corpus has, as text."""

from collections import Counter

from utils.corpora.manifest import Manifest
from utils.tables import text_table

MOST_SPEAKERS = 30  # in a table; of more speakers the extremes are told


def count_lines(manifest: Manifest) -> list[str]:
    """A table of recordings by speaker and class; without speakers by class alone.

    Args:
        manifest: Any corpus.
    """
    counts = Counter((u.speaker, u.label) for u in manifest.utterances)
    speakers = Counter(u.speaker for u in manifest.utterances)
    names = sorted((name for name in speakers if name is not None), key=str)
    if 0 < len(names) <= MOST_SPEAKERS:
        rows = [
            [name, *(counts[name, c] for c in manifest.classes), speakers[name]]
            for name in names
        ]
    else:
        rows = []
    by_class = Counter(u.label for u in manifest.utterances)
    rows.append(["all", *(by_class[c] for c in manifest.classes), speakers.total()])
    lines = text_table(["speaker", *manifest.classes, "all"], rows)
    if None in speakers:
        lines.append(f"{speakers[None]} recordings name no speaker")
    if len(names) > MOST_SPEAKERS:
        fewest, most = min(speakers.values()), max(speakers.values())
        lines.append(f"{len(names)} speakers with {fewest} to {most} recordings each")
    return lines
