#include "light_sernet.h"

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
alignas(16) uint8_t arena[LIGHT_SERNET_ARENA_BYTES];
tflite::MicroMutableOpResolver<LIGHT_SERNET_NUM_OPERATORS> resolver;
tflite::MicroInterpreter *interpreter = nullptr;  // once its tensors are allocated
ls_stream stream;

bool RegisterOperators() {
  return $registered;
}

// The network's input; the front-end writes its rows there.
int8_t *Rows() { return interpreter->input(0)->data.int8; }

int ClassifyRows(float *probabilities) {
  if (interpreter->Invoke() != kTfLiteOk) return LIGHT_SERNET_FAILED;
  const int8_t *output = interpreter->output(0)->data.int8;
  int best = 0;
  for (int i = 0; i < LIGHT_SERNET_NUM_CLASSES; ++i) {
    probabilities[i] = LIGHT_SERNET_OUTPUT_SCALE *
                       (output[i] - LIGHT_SERNET_OUTPUT_ZERO_POINT);
    if (output[i] > output[best]) best = i;
  }
  return best;
}
}  // namespace

bool light_sernet_set_up(size_t every) {
  ls_stream_reset(&stream, every);
  if (interpreter != nullptr) return true;
  if (!RegisterOperators()) return false;
  static tflite::MicroInterpreter only(tflite::GetModel(light_sernet_model), resolver,
                                       arena, sizeof(arena));
  if (only.AllocateTensors() != kTfLiteOk) return false;
  interpreter = &only;
  return true;
}

size_t light_sernet_push(const int16_t *samples, size_t num_samples) {
  if (interpreter == nullptr) return num_samples;  // lost: nothing is set up
  return ls_stream_push(&stream, samples, num_samples);
}

int light_sernet_classify(float *probabilities) {
  if (interpreter == nullptr) return LIGHT_SERNET_FAILED;
  if (!ls_stream_has_window(&stream)) return LIGHT_SERNET_NO_WINDOW;
  if (!ls_is_speech(&stream)) return LIGHT_SERNET_NO_SPEECH;
  ls_features_from_stream(&stream, Rows());
  return ClassifyRows(probabilities);
}

int light_sernet_classify_recording(const int16_t *samples, size_t num_samples,
                                    float *probabilities) {
  if (interpreter == nullptr) return LIGHT_SERNET_FAILED;
  if (!ls_features_from_segment(samples, num_samples, Rows())) {
    return LIGHT_SERNET_NO_SPEECH;
  }
  return ClassifyRows(probabilities);
}
