/* Prints the instructions for the rows of one segment of noise, the bytes of a stream,
 * and LS_STREAM_BYTES.
 *
 * Run it with `-icount shift=0`: one instruction then takes 1 ns, and the board's timer
 * counts at 25 MHz, every 40 instructions. */

#include <stdio.h>

#include "light_sernet_front_end.h"

#define TIMER ((volatile uint32_t *)0xE000E010) /* control, reload, value */
#define INSTRUCTIONS_PER_TICK 40

static int16_t samples[LS_SEGMENT_SAMPLES];
static int8_t rows[LS_ROWS_BYTES];

int main(void) {
  uint32_t state = 1;
  for (size_t i = 0; i < LS_SEGMENT_SAMPLES; ++i) {
    state = state * 1664525 + 1013904223;
    samples[i] = (int16_t)(state >> 16);
  }
  TIMER[1] = 0xFFFFFF;
  TIMER[2] = 0;
  TIMER[0] = 5; /* on, at the clock of the core */
  const uint32_t before = TIMER[2];
  const bool has_sound = ls_features_from_segment(samples, LS_SEGMENT_SAMPLES, rows);
  const uint32_t ticks = (before - TIMER[2]) & 0xFFFFFF;
  printf("%lu %lu %lu\n", (unsigned long)ticks * INSTRUCTIONS_PER_TICK,
         (unsigned long)sizeof(ls_stream), (unsigned long)LS_STREAM_BYTES);
  return has_sound ? 0 : 1;
}
