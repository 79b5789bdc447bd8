"""A model as C: array, header, and the loop that runs it on TensorFlow Lite Micro."""

import json
from dataclasses import dataclass
from pathlib import Path

from utils.files import write_atomic

STEM = "light_sernet_model"
BYTES_A_LINE = 12


@dataclass(frozen=True, kw_only=True)
class CModel:
    """A full-int8 model that takes features.

    Attributes:
        content: The `.tflite` file, byte for byte.
        classes: Class names in the order of the outputs.
        operators: The built-in operators it needs, each once.
        arena_bytes: The smallest arena it runs in.
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
    """Write `light_sernet_model.c`, `.h` and `light_sernet_classify.cc`.

    Args:
        model: What to write.
        folder: Where; made where missing.

    Returns:
        The files written.

    Raises:
        OSError: They cannot be written.
    """
    files = {
        f"{STEM}.h": header(model),
        f"{STEM}.c": array(model),
        "light_sernet_classify.cc": inference_loop(model),
    }
    for name, text in files.items():
        write_atomic(folder / name, text)
    return [folder / name for name in files]


def array(model: CModel) -> str:
    """The model as a C11 array, and the names of its classes."""
    lines = [
        "    "
        + " ".join(
            f"0x{byte:02x}," for byte in model.content[start : start + BYTES_A_LINE]
        )
        for start in range(0, len(model.content), BYTES_A_LINE)
    ]
    names = "\n".join(
        f"    {json.dumps(name, ensure_ascii=False)}," for name in model.classes
    )
    return f"""#include "{STEM}.h"

_Alignas(16) const unsigned char {STEM}[LIGHT_SERNET_MODEL_BYTES] = {{
{chr(10).join(lines)}
}};

const char *const light_sernet_classes[LIGHT_SERNET_NUM_CLASSES] = {{
{names}
}};
"""


def header(model: CModel) -> str:
    """Sizes, quantisation and operators, for C and C++."""
    _, frames, features, _ = model.input_shape
    (in_scale, in_zero), (out_scale, out_zero) = (
        model.input_quantisation,
        model.output_quantisation,
    )
    return f"""#ifndef LIGHT_SERNET_MODEL_H_
#define LIGHT_SERNET_MODEL_H_

/* Light-SERNet, full int8: speech features to class probabilities. */

#define LIGHT_SERNET_MODEL_BYTES {len(model.content)}
/* Smallest tensor arena, measured with 64-bit pointers; align it to 16 bytes. */
#define LIGHT_SERNET_ARENA_BYTES {model.arena_bytes}
#define LIGHT_SERNET_NUM_FRAMES {frames}
#define LIGHT_SERNET_NUM_FEATURES {features}
#define LIGHT_SERNET_NUM_CLASSES {len(model.classes)}

/* real = scale * (int8 - zero point) */
#define LIGHT_SERNET_INPUT_SCALE {in_scale!r}f
#define LIGHT_SERNET_INPUT_ZERO_POINT ({in_zero})
#define LIGHT_SERNET_OUTPUT_SCALE {out_scale!r}f
#define LIGHT_SERNET_OUTPUT_ZERO_POINT ({out_zero})

/* Operators to register: {", ".join(model.operators)}. */
#define LIGHT_SERNET_NUM_OPERATORS {len(model.operators)}

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {STEM}[LIGHT_SERNET_MODEL_BYTES];
extern const char *const light_sernet_classes[LIGHT_SERNET_NUM_CLASSES];

#ifdef __cplusplus
}}

/* light_sernet_classify.cc: set up once, then classify each segment. */
bool LightSernetSetUp();
int LightSernetClassify(const float *features, float *probabilities);
#endif

#endif
"""


def resolver_method(operator: str) -> str:
    """`AVERAGE_POOL_2D` → `AddAveragePool2D`, of `MicroMutableOpResolver`."""
    parts = operator.split("_")
    words = [part if part[0].isdigit() else part.capitalize() for part in parts]
    return "Add" + "".join(words)


def inference_loop(model: CModel) -> str:
    """C++ for TensorFlow Lite Micro: set up once, then features to a class."""
    registered = " &&\n         ".join(
        f"resolver.{resolver_method(name)}() == kTfLiteOk" for name in model.operators
    )
    return f"""// Features of one segment to a class, on TensorFlow Lite Micro.
//
// Call LightSernetSetUp once, then LightSernetClassify for each segment. Features are
// what `utils.audio.prepare.prepare` (centre, padding, level) and
// `utils.audio.features.compute_features`
// give, ported: row after row, LIGHT_SERNET_NUM_FRAMES rows.

#include "{STEM}.h"

#include <cmath>
#include <cstdint>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{
alignas(16) uint8_t arena[LIGHT_SERNET_ARENA_BYTES];
tflite::MicroMutableOpResolver<LIGHT_SERNET_NUM_OPERATORS> resolver;
tflite::MicroInterpreter *interpreter = nullptr;

bool RegisterOperators() {{
  return {registered};
}}
}}  // namespace

// Returns false where an operator or memory is missing.
bool LightSernetSetUp() {{
  if (!RegisterOperators()) return false;
  static tflite::MicroInterpreter only(tflite::GetModel({STEM}),
                                       resolver, arena, sizeof(arena));
  interpreter = &only;
  return interpreter->AllocateTensors() == kTfLiteOk;
}}

// Fills `probabilities`, one a class, and returns the most probable class's number in
// light_sernet_classes; -1 where the network failed.
int LightSernetClassify(const float *features, float *probabilities) {{
  int8_t *input = interpreter->input(0)->data.int8;
  const int size = LIGHT_SERNET_NUM_FRAMES * LIGHT_SERNET_NUM_FEATURES;
  for (int i = 0; i < size; ++i) {{
    // round, then clip: a cast alone would cut off and wrap around
    float step = std::nearbyint(features[i] / LIGHT_SERNET_INPUT_SCALE) +
                 LIGHT_SERNET_INPUT_ZERO_POINT;
    step = step < -128 ? -128 : step > 127 ? 127 : step;
    input[i] = static_cast<int8_t>(step);
  }}
  if (interpreter->Invoke() != kTfLiteOk) return -1;
  const int8_t *output = interpreter->output(0)->data.int8;
  int best = 0;
  for (int i = 0; i < LIGHT_SERNET_NUM_CLASSES; ++i) {{
    probabilities[i] = LIGHT_SERNET_OUTPUT_SCALE *
                       (output[i] - LIGHT_SERNET_OUTPUT_ZERO_POINT);
    if (output[i] > output[best]) best = i;
  }}
  return best;
}}
"""
