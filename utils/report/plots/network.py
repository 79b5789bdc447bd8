"""A picture of the network, read off the real Keras model."""

import dataclasses
import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from utils.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    import keras

GAP_IN = 0.72  # between two stages
SLANT = (0.62, 0.36)  # where the frequency axis points, of its length
PATH_STEP_IN = 1.95  # between the centres of two paths
MARGIN_IN = 0.5
CAPTION = """Under each map: its frames × features × channels, and the parameters to it.
Every convolution is followed by batch normalisation and ReLU; pools average."""
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What happens between two feature maps, and the map that comes out.

    Attributes:
        name: Layer names of the stage start with it.
        lines: What it does, a line each.
        shape: Of its output: (frames, features, channels).
        parameters: Trained and tracked numbers.
    """

    name: str
    lines: tuple[str, ...]
    shape: tuple[int, int, int]
    parameters: int

    @property
    def size_in(self) -> tuple[float, float, float]:
        """Drawn height, depth and width: by the root, or the deep maps would vanish."""
        frames, features, channels = self.shape
        return (
            0.06 + 0.08 * np.sqrt(frames),
            0.06 + 0.08 * np.sqrt(features),
            0.03 + 0.055 * np.sqrt(channels),
        )


def stages_of(model: "keras.Model") -> list[Stage]:
    """The stages of a Light-SERNet, in the order of the signal.

    Args:
        model: As from `models.build_light_sernet`; the part of a layer's name before
            the last underscore names its stage.
    """
    groups: dict[str, list[keras.Layer]] = defaultdict(list)
    for layer in model.layers:
        groups[layer.name.rsplit("_", 1)[0]].append(layer)
    stages: list[Stage] = []
    dropout: tuple[str, ...] = ()
    for name, layers in groups.items():
        stage = _stage(name, layers)
        if name == "dropout":  # leaves the map as it is: told with the next stage
            dropout = stage.lines
            continue
        stages.append(dataclasses.replace(stage, lines=dropout + stage.lines))
        dropout = ()
    return stages


def _stage(name: str, layers: "list[keras.Layer]") -> Stage:
    """Describe the layers of one stage."""
    *lengths, channels = layers[-1].output.shape[1:]
    frames, features = lengths or (1, 1)
    lines = [line for layer in layers if (line := _describe(layer))]
    parameters = sum(layer.count_params() for layer in layers)
    shape = (frames, features, channels)
    return Stage(name=name, lines=tuple(lines), shape=shape, parameters=parameters)


def _describe(layer: "keras.Layer") -> str:
    """A layer in a few characters; batch norm and ReLU go without saying."""
    match type(layer).__name__:
        case "Conv2D":
            return f"conv {_times(layer.kernel_size)}"
        case "AveragePooling2D":
            return f"pool {_times(layer.pool_size)}"
        case "GlobalAveragePooling2D":
            return "global pool"
        case "Concatenate":
            return "concatenate"
        case "Dropout":
            return f"dropout {layer.rate:g}"
        case "Dense":
            return f"dense, {layer.activation.__name__}"
        case "InputLayer":
            return "input"
    return ""


def _times(size: tuple[int, ...]) -> str:
    return "×".join(str(length) for length in size)


@styled()
def network_figure(stages: list[Stage], title: str) -> Figure:
    """Feature maps as boxes (height time, depth frequency, width channels).

    Args:
        stages: As from `stages_of`.
        title: Line above the picture.

    Returns:
        A figure without axes; sizes in inches.
    """
    places = _places(stages)
    right_in = places[stages[-1].name][0] + 1.0
    top_in = max(y for _, y in places.values()) + 1.2
    figure, [axes] = new_figure(right_in + MARGIN_IN, 2 * top_in + 0.4)
    axes.set_axis_off()
    axes.set(aspect="equal", xlim=(-MARGIN_IN, right_in), ylim=(-top_in, top_in))
    axes.text(right_in, -top_in, CAPTION, ha="right", va="bottom", size=11)
    for left, right in _connections(stages):
        _draw_arrow(axes, left, places[left.name], right, places[right.name])
    for stage in stages:
        _draw_box(axes, stage, places[stage.name])
        _write_labels(axes, stage, places[stage.name])
    axes.set_title(title, size=16)
    return figure


def _is_path(stage: Stage) -> bool:
    """Whether it is one of those that read the input side by side."""
    return stage.name.startswith("path") and stage.name != "paths"


def _places(stages: list[Stage]) -> dict[str, Point]:
    """Middle of each box's left edge: paths below one another, the rest in a row."""
    paths = [stage for stage in stages if _is_path(stage)]
    places: dict[str, Point] = {}
    x = 0.0
    for stage in stages:
        if stage in paths[1:]:
            continue
        members = paths if _is_path(stage) else [stage]
        for number, member in enumerate(members):
            middle = (len(members) - 1) / 2
            places[member.name] = (x, (middle - number) * PATH_STEP_IN)
        _, depth, width = stage.size_in
        x += width + SLANT[0] * depth + GAP_IN
    return places


def _connections(stages: list[Stage]) -> list[tuple[Stage, Stage]]:
    """Who feeds whom: input to every path, every path to the stage after them."""
    paths = [stage for stage in stages if _is_path(stage)]
    rest = [stage for stage in stages if not _is_path(stage)]
    source, *chain = rest
    pairs = [(source, path) for path in paths] + [(path, chain[0]) for path in paths]
    return pairs + list(itertools.pairwise(chain))


def _draw_box(axes: Axes, stage: Stage, place: Point) -> None:
    """Three faces of a box, lit from above."""
    height, depth, width = stage.size_in
    colour = np.array(to_rgb(_colour(stage)))
    corner = np.array(place) - (0.0, height / 2)
    right, up = np.array((width, 0.0)), np.array((0.0, height))
    back = depth * np.array(SLANT)
    faces = (
        ((corner, corner + right, corner + right + up, corner + up), 0.35),
        (
            (
                corner + up,
                corner + right + up,
                corner + right + up + back,
                corner + up + back,
            ),
            0.6,
        ),
        (
            (
                corner + right,
                corner + right + back,
                corner + right + up + back,
                corner + right + up,
            ),
            0.12,
        ),
    )
    for points, light in faces:
        face = colour + (1.0 - colour) * light
        axes.add_patch(
            Polygon(points, facecolor=face, edgecolor=INK, linewidth=0.7, zorder=2)
        )


def _colour(stage: Stage) -> str:
    if _is_path(stage):
        return ORANGE
    if stage.name.startswith("body"):
        return BLUE
    return {"features": GREY, "probabilities": RED}.get(stage.name, GREEN)


def _write_labels(axes: Axes, stage: Stage, place: Point) -> None:
    """What it does above the box; shape and parameters below."""
    height, depth, width = stage.size_in
    x, y = place
    top = y + height / 2 + depth * SLANT[1] + 0.06
    centre = x + (width + depth * SLANT[0]) / 2
    axes.text(centre, top, "\n".join(stage.lines), ha="center", va="bottom", size=11)
    below = [_times(tuple(n for n in stage.shape if n > 1))]
    if stage.parameters:
        below.append(f"{stage.parameters:,}")
    axes.text(
        x + width / 2,
        y - height / 2 - 0.06,
        "\n".join(below),
        ha="center",
        va="top",
        size=10,
        color=GREY,
        linespacing=1.25,
    )


def _draw_arrow(
    axes: Axes, left: Stage, left_place: Point, right: Stage, right_place: Point
) -> None:
    """From one box's side to the next box's edge."""
    _, depth, width = left.size_in
    start = (
        left_place[0] + width + depth * SLANT[0] / 2,
        left_place[1] + depth * SLANT[1] / 2,
    )
    axes.add_patch(
        FancyArrowPatch(
            start,
            right_place,
            arrowstyle="-|>",
            mutation_scale=11,
            color=GREY,
            linewidth=1.1,
            shrinkA=2,
            shrinkB=2,
            zorder=1,
        )
    )
