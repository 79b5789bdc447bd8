/* The two functions of CMSIS-DSP that the front-end calls, as their manual defines them.
 */

#include <math.h>
#include <stdint.h>

typedef struct {
  uint16_t fftLenRFFT;
} arm_rfft_fast_instance_f32;

static void arm_rfft_fast_init_f32(arm_rfft_fast_instance_f32 *transform,
                                   uint16_t length) {
  transform->fftLenRFFT = length;
}

/* Bins 0 and length / 2, which are real, then real and imaginary parts of the others.
 * CMSIS-DSP overwrites its input. */
static void arm_rfft_fast_f32(const arm_rfft_fast_instance_f32 *transform, float *input,
                              float *output, uint8_t is_inverse) {
  const int length = transform->fftLenRFFT;
  (void)is_inverse;
  for (int k = 0; k <= length / 2; ++k) {
    double real = 0.0, imaginary = 0.0;
    for (int i = 0; i < length; ++i) {
      const double angle = 6.283185307179586 * ((i * k) % length) / length;
      real += input[i] * cos(angle);
      imaginary -= input[i] * sin(angle);
    }
    output[k < length / 2 ? 2 * k : 1] = (float)real;
    if (k > 0 && k < length / 2) output[2 * k + 1] = (float)imaginary;
  }
  for (int i = 0; i < length; ++i) input[i] = -1.0f;
}
