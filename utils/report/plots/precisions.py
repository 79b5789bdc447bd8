"""Score of exported models against their size."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from utils.model_files.tflite import FUSED
from utils.report.plots.style import BLUE, GREY, ORANGE, new_figure, styled


@styled()
def size_figure(content: Mapping[str, Any]) -> Figure | None:
    """Draw UA with its interval against file size; Keras float32 is a line.

    Args:
        content: From `utils.scores.evaluation.evaluate`.

    Returns:
        A figure; None if no file was both scored and measured.
    """
    models = [row for row in content["models"] if "ua" in row and "bytes" in row]
    if not models:
        return None
    figure, [axes] = new_figure(8.0, 4.6)
    keras = next(row for row in content["models"] if row["model"] == "keras")
    axes.axhline(keras["ua"]["value"], color=GREY, linewidth=1.0, label="Keras float32")
    for is_fused, colour, label in (
        (False, BLUE, "features in"),
        (True, ORANGE, "audio in"),
    ):
        rows = [row for row in models if row["model"].startswith(FUSED) == is_fused]
        if not rows:
            continue
        sizes, values = [r["bytes"] for r in rows], [r["ua"]["value"] for r in rows]
        below = [r["ua"]["value"] - r["ua"]["low"] for r in rows]
        above = [r["ua"]["high"] - r["ua"]["value"] for r in rows]
        axes.errorbar(
            sizes, values, [below, above], fmt="o", color=colour, capsize=3, label=label
        )
        for row in rows:
            axes.annotate(
                row["model"].removeprefix(FUSED),
                (row["bytes"], row["ua"]["value"]),
                xytext=(6, 5),
                textcoords="offset points",
                size=8,
            )
    axes.set(xlabel="file, MB", ylabel="UA, and its 95 % interval", xlim=(0.0, None))
    axes.xaxis.set_major_formatter(lambda size, _: f"{size / 1e6:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(f"{content['corpus']['name']}: score against size")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
