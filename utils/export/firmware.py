"""A folder for a device engineer: network, front-end, functions, CMake, figures.

The C files come from `templates/`; their numbers come from a model.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperparameters import FrontEnd
from utils.audio.scale import Scale
from utils.export.c_front_end import FRONT_END_TEMPLATES, front_end_values
from utils.export.c_source import TEMPLATES, c_bytes, fill_templates
from utils.export.flatbuffer import multiply_accumulates, operators_of

CORTEX_M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
ARM = "arm-none-eabi-"
OVERLAPPING_NOTE = """
`light_sernet_classify_recording` hears the middle segment of a recording. On a
computer, this model hears overlapping segments of a longer one, and the mean of their
probabilities is the answer. For the same on the device, push the recording as a stream,
and take the mean of the probabilities.
"""


@dataclass(frozen=True, kw_only=True)
class CModel:
    """A full-int8 model that takes features, and what was measured of it.

    Attributes:
        content: The `.tflite` file without metadata, byte for byte.
        classes: Class names in the order of the outputs.
        front_end: Settings that turn samples into its input.
        input_quantisation: Scale and zero point.
        output_quantisation: Scale and zero point.
        arena_bytes: The smallest arena in which it runs.
        comparison: One line for the README: how its answers were compared.
        scale: Standardises the features; None if they are not scaled.
        voice: Name of the voice that `scale` belongs to, for the README.
        hears_overlapping: On a computer, the answer for a long recording is the mean
            over overlapping segments.
    """

    content: bytes
    classes: tuple[str, ...]
    front_end: FrontEnd
    input_quantisation: tuple[float, int]
    output_quantisation: tuple[float, int]
    arena_bytes: int
    comparison: str
    scale: Scale | None = None
    voice: str = "a typical voice of the training corpus"
    hears_overlapping: bool = False


def write_firmware(model: CModel, folder: Path) -> list[Path]:
    """Write the folder.

    Args:
        model: Supplies the numbers.
        folder: Receives the files; created if missing.

    Returns:
        The files written.

    Raises:
        InputError: The FFT size of the front-end is not a power of two.
        OSError: The files cannot be written.
    """
    values = front_end_values(model.front_end, model.input_quantisation, model.scale)
    written = fill_templates(FRONT_END_TEMPLATES, values, folder)
    values |= _network_values(model) | _figures(model, values, folder)
    return written + fill_templates(TEMPLATES, values, folder)


def _network_values(model: CModel) -> dict[str, Any]:
    """The placeholders of the C files that hold and run the network."""
    operators = sorted(set(operators_of(model.content)))
    methods = (f"resolver.{resolver_method(name)}()" for name in operators)
    quoted = (json.dumps(name, ensure_ascii=False) for name in model.classes)
    names = (name.replace("?", r"\?") for name in quoted)  # `??` may begin a trigraph
    return {
        "model_bytes": len(model.content),
        "arena_bytes": model.arena_bytes,
        "num_classes": len(model.classes),
        "class_list": ", ".join(model.classes),
        "output_scale": model.output_quantisation[0],
        "output_zero_point": model.output_quantisation[1],
        "operators": ", ".join(operators),
        "num_operators": len(operators),
        "registered": " &&\n         ".join(f"{m} == kTfLiteOk" for m in methods),
        "bytes": c_bytes(model.content),
        "class_names": "\n".join(f"    {name}," for name in names),
    }


def _figures(model: CModel, front_end: dict[str, Any], folder: Path) -> dict[str, str]:
    """The placeholders of the README; see `front_end_values`."""
    code_bytes = _code_bytes(folder, front_end["table_bytes"])
    amounts = {
        "arena": model.arena_bytes,
        "stream": front_end["stream_bytes"],
        "scratch": front_end["scratch_bytes"],
    }
    amounts["ram"] = sum(amounts.values())
    amounts["model"] = len(model.content)
    amounts["table"] = front_end["table_bytes"]
    amounts["macs"] = multiply_accumulates(model.content)
    return {f"{name}_text": f"{amount:,}" for name, amount in amounts.items()} | {
        "code_text": "not measured" if code_bytes is None else f"{code_bytes:,} bytes",
        "code_source": f"needs `{ARM}gcc` and `{ARM}size`, with newlib"
        if code_bytes is None
        else f"`{ARM}size`, after `{ARM}gcc -std=c99 -O2` for a Cortex-M4F",
        "comparison": model.comparison,
        "scaling": ""
        if model.scale is None
        else f"\nFeatures are standardised by the scale of {model.voice}; "
        "`ls_set_scale` takes that of another voice.\n",
        "hearing": OVERLAPPING_NOTE if model.hears_overlapping else "",
    }


def _code_bytes(folder: Path, table_bytes: int) -> int | None:
    """Machine code of the front-end on a Cortex-M4F; None if it cannot be compiled."""
    if not (shutil.which(f"{ARM}gcc") and shutil.which(f"{ARM}size")):
        return None
    try:
        source = folder / "light_sernet_front_end.c"
        flash_bytes, _ = object_bytes(source, "-std=c99")
    except subprocess.CalledProcessError:  # it lacks the C library
        return None
    return flash_bytes - table_bytes


def object_bytes(source: Path, *options: str) -> tuple[int, int]:
    """Bytes of flash and of static RAM of a C or C++ file on a Cortex-M4F.

    Args:
        source: The file; its folder holds its headers.
        options: For the compiler.

    Raises:
        OSError: There is no `arm-none-eabi-gcc` or `arm-none-eabi-size`.
        subprocess.CalledProcessError: It does not compile.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "object.o"
        flags = [*CORTEX_M4F, *options, "-c", "-o", str(target)]
        compile_it = [f"{ARM}gcc", "-O2", *flags, str(source)]
        subprocess.run(compile_it, stderr=subprocess.PIPE, check=True)
        size = [f"{ARM}size", str(target)]
        done = subprocess.run(size, capture_output=True, text=True, check=True)
    text, data, bss = map(int, done.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


def resolver_method(operator: str) -> str:
    """`AVERAGE_POOL_2D` → `AddAveragePool2D`, of `MicroMutableOpResolver`."""
    parts = operator.split("_")
    words = [part if part[0].isdigit() else part.capitalize() for part in parts]
    return "Add" + "".join(words)
