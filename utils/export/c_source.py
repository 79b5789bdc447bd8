"""C sources from the files in `templates/`."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

from utils.files import write_atomic

TEMPLATES = Path(__file__).parent / "templates"
BYTES_PER_LINE = 12
NUMBERS_PER_LINE = 6


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


def array(c_type: str, declarator: str, body: str) -> str:
    """The definition of a constant C array."""
    return f"static const {c_type} {declarator} = {{\n{body}\n}};\n"


def numbers(values: npt.NDArray[np.generic], suffix: str = "") -> str:
    """The body of a C array of integers or, with suffix `f`, of float32."""
    flat = values.ravel().astype(np.float32) if suffix else values.ravel()
    return _lines([f"{value!s}{suffix}," for value in flat], NUMBERS_PER_LINE)


def c_bytes(content: bytes) -> str:
    """The body of a C array of bytes."""
    return _lines([f"0x{byte:02x}," for byte in content], BYTES_PER_LINE)


def _lines(items: list[str], per_line: int) -> str:
    """Some items per line, indented."""
    rows = (items[i : i + per_line] for i in range(0, len(items), per_line))
    return "\n".join("    " + " ".join(row) for row in rows)
