// A stand-in for TensorFlow Lite Micro. Its network returns the first values of its input.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum TfLiteStatus { kTfLiteOk, kTfLiteError };

struct TfLiteTensor {
  struct {
    int8_t *int8;
  } data;
};

namespace tflite {
struct Model;

inline const Model *GetModel(const void *content) {
  return static_cast<const Model *>(content);
}

// The names of the real methods; one call more than `num_operators` fails.
template <unsigned int num_operators>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAveragePool2D() { return Add(); }
  TfLiteStatus AddConcatenation() { return Add(); }
  TfLiteStatus AddConv2D() { return Add(); }
  TfLiteStatus AddFullyConnected() { return Add(); }
  TfLiteStatus AddMean() { return Add(); }
  TfLiteStatus AddPad() { return Add(); }
  TfLiteStatus AddSlice() { return Add(); }
  TfLiteStatus AddSoftmax() { return Add(); }

 private:
  TfLiteStatus Add() { return ++num_added > num_operators ? kTfLiteError : kTfLiteOk; }
  unsigned int num_added = 0;
};

class MicroInterpreter {
 public:
  template <typename Resolver>
  MicroInterpreter(const Model *, const Resolver &, uint8_t *arena, size_t bytes)
      : input_{{reinterpret_cast<int8_t *>(arena)}},
        output_{{reinterpret_cast<int8_t *>(arena + bytes - kOutputBytes)}} {}
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteTensor *input(int) { return &input_; }
  const TfLiteTensor *output(int) const { return &output_; }
  TfLiteStatus Invoke() {
    memcpy(output_.data.int8, input_.data.int8, kOutputBytes);
    return kTfLiteOk;
  }

 private:
  static constexpr size_t kOutputBytes = 16;
  TfLiteTensor input_, output_;
};
}  // namespace tflite
