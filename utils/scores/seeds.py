"""The spread of runs that differ in the seed alone, as a table and two files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hyperparameters import InputError
from utils.files import json_sha256, write_atomic, write_json
from utils.runs.records import Run, load_run
from utils.scores.metrics import SCORES, over_seeds
from utils.tables import markdown_table

FORMAT = 1
MOST_NAMED = 8  # seeds in a file's name, which has a limit; the hash tells the rest
SPREAD = ("mean", "sd", "min", "max")


class SeedSpread(NamedTuple):
    """What was written.

    Attributes:
        table: Markdown.
        files: The JSON and the Markdown file.
    """

    table: str
    files: tuple[Path, Path]


def write_spread(folders: Sequence[Path], output_dir: Path) -> SeedSpread:
    """Write mean, standard deviation and range of the pooled figures over seeds.

    Args:
        folders: Finished run folders, two or more.
        output_dir: `<what was run>_seeds42-43-44_<hash>.json` and `.md` go there.

    Raises:
        InputError: A run is unfinished or has no scores, or more than the seed differs.
        OSError: A file cannot be written.
    """
    runs = [load_run(folder) for folder in folders]
    if not len(runs[0].rows()):
        raise InputError(f"protocol {runs[0].protocol} scores nothing, by design")
    spread = over_seeds(runs)
    content = {
        "format": FORMAT,
        "runs": [folder.name for folder in folders],
        "protocol": runs[0].protocol,
        "verdict": runs[0].verdict,
        "corpus": runs[0].config["corpus"],
        **spread,
    }
    text = spread_text(runs, content)
    seeds = "-".join(str(seed) for seed in spread["seeds"][:MOST_NAMED])
    what = folders[0].name.rsplit("_seed", 1)[0]
    hashes = json_sha256([run.config["hash"] for run in runs])[:8]
    path = output_dir / f"{what}_seeds{seeds}_{hashes}.json"
    write_json(path, content)
    write_atomic(path.with_suffix(".md"), text)
    return SeedSpread(text, (path, path.with_suffix(".md")))


def spread_text(runs: Sequence[Run], content: Mapping[str, Any]) -> str:
    """The spread as Markdown: a table in percent, the runs, what the scores mean."""
    rows = [
        (name, *(f"{100 * content[key][kind]:.2f}" for kind in SPREAD))
        for key, name in SCORES.items()
    ]
    lines = markdown_table([f"% over {len(runs)} seeds", *SPREAD], rows)
    lines += ["", f"Protocol {content['protocol']}. Runs:", ""]
    lines += [f"- `{name}`" for name in content["runs"]]
    remarks = [runs[0].verdict, runs[0].note]
    lines += [text for remark in remarks if remark for text in ("", remark)]
    return "\n".join(lines) + "\n"
