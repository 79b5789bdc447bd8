// Classifies the features of one segment with TensorFlow Lite Micro.
//
// Call LightSernetSetUp once, then LightSernetClassify for each segment. The features
// are LIGHT_SERNET_NUM_FRAMES rows, one after the other, as computed by
// `utils.audio.prepare.prepare` (centre, level, padding) and
// `utils.audio.features.compute_features`; port these two.

#include "light_sernet_model.h"

#include <cmath>
#include <cstdint>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
alignas(16) uint8_t arena[LIGHT_SERNET_ARENA_BYTES];
tflite::MicroMutableOpResolver<LIGHT_SERNET_NUM_OPERATORS> resolver;
tflite::MicroInterpreter *interpreter = nullptr;

bool RegisterOperators() {
  return $registered;
}
}  // namespace

// Returns false if an operator or memory is missing.
bool LightSernetSetUp() {
  if (!RegisterOperators()) return false;
  static tflite::MicroInterpreter only(tflite::GetModel(light_sernet_model),
                                       resolver, arena, sizeof(arena));
  interpreter = &only;
  return interpreter->AllocateTensors() == kTfLiteOk;
}

// Fills `probabilities`, one per class. Returns the index of the most probable class
// in light_sernet_classes, or -1 if the network failed.
int LightSernetClassify(const float *features, float *probabilities) {
  int8_t *input = interpreter->input(0)->data.int8;
  const int size = LIGHT_SERNET_NUM_FRAMES * LIGHT_SERNET_NUM_FEATURES;
  for (int i = 0; i < size; ++i) {
    // round, then clip: a cast alone would truncate and wrap around
    float step = std::nearbyint(features[i] / LIGHT_SERNET_INPUT_SCALE) +
                 LIGHT_SERNET_INPUT_ZERO_POINT;
    step = step < -128 ? -128 : step > 127 ? 127 : step;
    input[i] = static_cast<int8_t>(step);
  }
  if (interpreter->Invoke() != kTfLiteOk) return -1;
  const int8_t *output = interpreter->output(0)->data.int8;
  int best = 0;
  for (int i = 0; i < LIGHT_SERNET_NUM_CLASSES; ++i) {
    probabilities[i] = LIGHT_SERNET_OUTPUT_SCALE *
                       (output[i] - LIGHT_SERNET_OUTPUT_ZERO_POINT);
    if (output[i] > output[best]) best = i;
  }
  return best;
}
