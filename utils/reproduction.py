"""The published results beside ours, from the committed records alone.

`python -m utils.reproduction` renders every run in `reproduction/` again, writes
REPRODUCTION.md and puts the results table into README.md. `--add RUN` first copies a
run folder's configuration and records there.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperparameters import InputError
from utils import report
from utils.cli import Parser, run_main
from utils.files import PROJECT, write_atomic
from utils.plots.run import stem_of
from utils.records import Run, load_run

FIGURES = {"ua": "UA", "wa": "WA", "weighted_f1": "F1"}
START = "<!-- results: written by `python -m utils.reproduction` -->"
END = "<!-- end of results -->"
DISHONEST = ("published", "paper")
Row = tuple[Run, Mapping[str, Any]]


def reproduce(folder: Path, readme: Path, text: Path) -> list[Path]:
    """Render every run and write both texts.

    Args:
        folder: Holds `published.json` and a folder for each run.
        readme: Gets the results table between its two marks.
        text: REPRODUCTION.md; its parts between the marks are written, the account
            around them is kept.

    Returns:
        The files written beside the runs' own.

    Raises:
        InputError: A damaged record, or a text without the marks.
    """
    published = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    rows: list[Row] = []
    for config in sorted(folder.glob("*/config.json")):
        rendered = report.render(config.parent)
        rows.append((load_run(config.parent), rendered.metrics))
    results = results_tables(rows, published)
    put_between(readme, results)
    put_between(text, "\n\n".join([results, confusions(rows, published)]))
    return [readme, text]


def put_between(path: Path, content: str) -> None:
    """Replace what stands between the two marks of a text.

    Raises:
        InputError: The marks are not there.
    """
    before, start, rest = path.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise InputError(f"{path}: must hold the lines {START} and {END}")
    write_atomic(path, f"{before}{START}\n\n{content}\n\n{END}{after}")


def results_tables(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """Two tables, never one: speakers shared and the test set choosing, or neither."""
    dishonest = [row for row in rows if row[0].protocol in DISHONEST]
    honest = [row for row in rows if row[0].protocol not in (*DISHONEST, "all")]
    parts = ["**Speakers shared, the epoch chosen on the test set (as published)**", ""]
    parts += table(["result", "protocol", "loss", "UA %", "WA %", "F1 %", "made with"])
    for loss, sources in published["scores_percent"].items():
        for source, scores in sources.items():
            cells = [f"{scores[name]:.2f}" for name in FIGURES]
            parts.append(line([source, "published figure", loss, *cells, "–"]))
    parts += [ours(run, metrics) for run, metrics in dishonest]
    if not dishonest:
        parts.append(line(["ours", "published", "–", *["not run yet"] * 3, "–"]))
    parts += [
        "",
        "**Speakers held out, the test set touched once (what to expect on a "
        "new speaker)**",
        "",
    ]
    parts += table(["result", "protocol", "loss", "UA %", "WA %", "F1 %", "made with"])
    parts += [ours(run, metrics) for run, metrics in honest]
    if not honest:
        parts.append(line(["ours", "speaker", "–", *["not run yet"] * 3, "–"]))
    parts += [
        "",
        "Ours: pooled over test utterances, with 95 % intervals that take the "
        "speaker as the unit (see the run's report for their method).",
    ]
    return "\n".join(parts)


def ours(run: Run, metrics: Mapping[str, Any]) -> str:
    """A run as a row of the results table."""
    settings, scores = run.settings, metrics["keras"]
    cells = ["–"] * len(FIGURES)
    if "headline" in scores:
        cells = [interval(scores["headline"][name]) for name in FIGURES]
    select = ", last epoch" if settings["select"] == "last" else ""
    partial = (
        ""
        if run.is_complete
        else (f", **{len(run.records)} of {run.num_folds} folds**")
    )
    made = (
        f"seed {settings['seed']}, {settings['epochs']} epochs, {took(run)}: "
        f"[report](reproduction/{run.folder.name}/{stem_of(run)}_Report.txt)"
    )
    protocol = f"{run.protocol}{select}{partial}"
    return line(["ours", protocol, settings["loss_name"], *cells, made])


def interval(figure: Mapping[str, float]) -> str:
    """`77.61 [73.02, 81.64]`, in percent."""
    value, low, high = (100 * figure[name] for name in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def took(run: Run) -> str:
    """CPU-hours and machine of a run."""
    hours = sum(record["cpu_seconds"] for record in run.records) / 3600
    machines = sorted({record["machine"] for record in run.records})
    return f"{hours:.1f} CPU-hours on {' and '.join(machines)}"


def confusions(rows: Sequence[Row], published: Mapping[str, Any]) -> str:
    """The published confusion counts beside ours, rows true, in percent of the row."""
    parts = ["## Confusion matrices", "", "In % of the true class; counts in brackets."]
    for loss, counts in published["confusion"].items():
        parts += ["", f"### {loss}, published (paper: 1070 rows)", ""]
        parts += matrix(published["classes"], counts)
        for run, metrics in rows:
            scores = metrics["keras"]
            if run.settings["loss_name"] == loss and "confusion" in scores:
                title = f"{run.protocol}, select {run.settings['select']}"
                parts += ["", f"### {loss}, ours: {title} ({scores['n']} rows)", ""]
                parts += matrix(**scores["confusion"])
    return "\n".join(parts)


def matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    """Lines of a Markdown table of a confusion matrix."""
    lines = table(["true \\ answered", *classes])
    for name, row in zip(classes, counts, strict=True):
        total = max(1, sum(row))
        cells = [f"{100 * n / total:.0f} ({n})" if n else "·" for n in row]
        lines.append(line([name, *cells]))
    return lines


def table(heads: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table."""
    return [line(heads), line(["---"] * len(heads))]


def line(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def add_run(source: Path, folder: Path) -> Path:
    """Copy a run's configuration and records; not its weights.

    Raises:
        InputError: No run folder.
    """
    run = load_run(source)
    target = folder / source.name
    names = [f"folds/fold_{record['fold']:02d}.json" for record in run.records]
    for name in ["config.json", *names]:
        write_atomic(target / name, (source / name).read_bytes())
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Rebuild tables and plots from the records."""
    parser = Parser(prog="python -m utils.reproduction", description=__doc__)
    parser.add_argument(
        "--add",
        type=Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="run folders whose records are copied first",
    )
    args = parser.parse_args(argv)
    folder = PROJECT / "reproduction"
    for source in args.add:
        add_run(source, folder)
    texts = [PROJECT / "README.md", PROJECT / "REPRODUCTION.md"]
    for path in reproduce(folder, *texts):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
