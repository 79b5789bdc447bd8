/* Runs the front-end on the recordings in input.bin and writes output.bin.
 *
 * input.bin: the hop of a stream (int32; 0: recordings are segments), then recordings:
 * number of samples (int32) and samples (int16). output.bin: for every segment or
 * window, one byte that says whether it has sound or is speech, then its rows. */

#include <stdio.h>

#include "light_sernet_front_end.h"

#define LONGEST 160000

static int16_t samples[LONGEST];
static int8_t rows[LS_ROWS_BYTES];
static ls_stream stream;

#ifdef OTHER_VOICE
/* Means 0, 1, 2 ... and a standard deviation of 5. */
static void set_other_voice(void) {
  static float means[LS_NUM_FEATURES], deviations[LS_NUM_FEATURES];
  for (size_t i = 0; i < LS_NUM_FEATURES; ++i) {
    means[i] = (float)i;
    deviations[i] = 5.0f;
  }
  ls_set_scale(means, deviations);
}
#endif

static void put(FILE *output, bool flag) {
  fputc(flag, output);
  fwrite(rows, 1, sizeof rows, output);
}

static void push_all(FILE *output, size_t left) {
  const int16_t *next = samples;
  while (left > 0) {
    const size_t taken = ls_stream_push(&stream, next, left);
    next += taken;
    left -= taken;
    if (ls_stream_has_window(&stream)) {
      const bool is_speech = ls_is_speech(&stream);
      ls_features_from_stream(&stream, rows);
      put(output, is_speech);
    }
  }
}

int main(void) {
  FILE *input = fopen("input.bin", "rb"), *output = fopen("output.bin", "wb");
  int32_t hop = 0, length = 0;
  if (input == NULL || output == NULL) return 1;
  if (fread(&hop, sizeof hop, 1, input) != 1) return 2;
  ls_stream_reset(&stream, (size_t)hop);
#ifdef OTHER_VOICE
  set_other_voice();
#endif
  while (fread(&length, sizeof length, 1, input) == 1) {
    const size_t num_samples = (size_t)length;
    if (num_samples > LONGEST) return 3;
    if (fread(samples, 2, num_samples, input) != num_samples) return 4;
    if (hop > 0) {
      push_all(output, num_samples);
    } else {
      const bool has_sound = ls_features_from_segment(samples, num_samples, rows);
      put(output, has_sound);
    }
  }
  fclose(input);
  return fclose(output) == 0 ? 0 : 5;
}
