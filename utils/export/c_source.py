"""C sources of a model, made from the files in `templates/`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from utils.files import write_atomic

TEMPLATES = Path(__file__).parent / "templates"
BYTES_PER_LINE = 12


@dataclass(frozen=True, kw_only=True)
class CModel:
    """A full-int8 model that takes features.

    Attributes:
        content: The `.tflite` file, byte for byte.
        classes: Class names in the order of the outputs.
        operators: The built-in operators that it needs, each once.
        arena_bytes: The smallest arena in which it runs.
        input_shape: (1, frames, features, 1).
        input_quantisation: Scale and zero point.
        output_quantisation: Scale and zero point.
    """

    content: bytes
    classes: tuple[str, ...]
    operators: tuple[str, ...]
    arena_bytes: int
    input_shape: tuple[int, ...]
    input_quantisation: tuple[float, int]
    output_quantisation: tuple[float, int]


def write_c_files(model: CModel, folder: Path) -> list[Path]:
    """Fill in every template.

    Args:
        model: Supplies the values.
        folder: Receives the files; created if missing.

    Returns:
        The files written, in alphabetical order.

    Raises:
        OSError: They cannot be written.
    """
    return fill_templates(TEMPLATES, _values(model), folder)


def fill_templates(
    templates: Path, values: Mapping[str, object], folder: Path
) -> list[Path]:
    """Fill in the files of a folder, not those of its subfolders.

    Args:
        templates: The folder of `string.Template` files.
        values: The value of every placeholder.
        folder: Receives the files; created if missing.

    Returns:
        The files written, in alphabetical order.

    Raises:
        OSError: They cannot be written.
    """
    written = []
    for template in sorted(path for path in templates.iterdir() if path.is_file()):
        text = Template(template.read_text(encoding="utf-8")).substitute(values)
        written.append(folder / template.name)
        write_atomic(written[-1], text)
    return written


def _values(model: CModel) -> dict[str, object]:
    """The text of every placeholder."""
    _, num_frames, num_features, _ = model.input_shape
    methods = (f"resolver.{resolver_method(name)}()" for name in model.operators)
    names = (json.dumps(name, ensure_ascii=False) for name in model.classes)
    return {
        "model_bytes": len(model.content),
        "arena_bytes": model.arena_bytes,
        "num_frames": num_frames,
        "num_features": num_features,
        "num_classes": len(model.classes),
        "input_scale": model.input_quantisation[0],
        "input_zero_point": model.input_quantisation[1],
        "output_scale": model.output_quantisation[0],
        "output_zero_point": model.output_quantisation[1],
        "operators": ", ".join(model.operators),
        "num_operators": len(model.operators),
        "registered": " &&\n         ".join(f"{m} == kTfLiteOk" for m in methods),
        "bytes": c_bytes(model.content),
        "class_names": "\n".join(f"    {name}," for name in names),
    }


def c_bytes(content: bytes) -> str:
    """The body of a C array of bytes."""
    starts = range(0, len(content), BYTES_PER_LINE)
    rows = (content[start : start + BYTES_PER_LINE] for start in starts)
    return "\n".join("    " + " ".join(f"0x{b:02x}," for b in row) for row in rows)


def resolver_method(operator: str) -> str:
    """`AVERAGE_POOL_2D` → `AddAveragePool2D`, of `MicroMutableOpResolver`."""
    parts = operator.split("_")
    words = [part if part[0].isdigit() else part.capitalize() for part in parts]
    return "Add" + "".join(words)
