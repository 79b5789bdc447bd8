/* Calls the functions of light_sernet.h on input.bin, whose format driver.c explains.
 *
 * Prints what they return for every recording or answer, and the probability. */

#include <stdio.h>

#include "light_sernet.h"

#define LONGEST 160000

static int16_t samples[LONGEST];
static float probabilities[LIGHT_SERNET_NUM_CLASSES];

static void show(int best) {
  printf("%d %.4f\n", best, best < 0 ? 0.0 : (double)probabilities[best]);
}

static void push_all(size_t left) {
  const int16_t *next = samples;
  while (left > 0) {
    const size_t taken = light_sernet_push(next, left);
    next += taken;
    left -= taken;
    const int best = light_sernet_classify(probabilities);
    if (best != LIGHT_SERNET_NO_WINDOW) show(best);
  }
}

int main(void) {
  FILE *input = fopen("input.bin", "rb");
  int32_t hop = 0, length = 0;
  if (input == NULL || fread(&hop, sizeof hop, 1, input) != 1) return 1;
  if (light_sernet_classify(probabilities) != LIGHT_SERNET_FAILED) return 2;
  if (light_sernet_classify_recording(samples, 9, probabilities) != LIGHT_SERNET_FAILED) {
    return 3;
  }
  if (!light_sernet_set_up((size_t)hop) || !light_sernet_set_up((size_t)hop)) return 4;
  while (fread(&length, sizeof length, 1, input) == 1) {
    const size_t num_samples = (size_t)length;
    if (num_samples > LONGEST) return 5;
    if (fread(samples, 2, num_samples, input) != num_samples) return 6;
    if (hop > 0) {
      push_all(num_samples);
    } else {
      show(light_sernet_classify_recording(samples, num_samples, probabilities));
    }
  }
  fclose(input);
  return 0;
}
