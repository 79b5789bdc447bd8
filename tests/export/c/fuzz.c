/* libFuzzer: the hop, the size of a push, then samples for a segment and a stream. */

#include <string.h>

#include "light_sernet_front_end.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int16_t samples[1 << 15];
  static int8_t rows[LS_ROWS_BYTES];
  static ls_stream stream;
  uint16_t hop, block;
  if (size < 4) return 0;
  memcpy(&hop, data, 2);
  memcpy(&block, data + 2, 2);
  size_t left = (size - 4) / 2;
  if (left > sizeof samples / 2) left = sizeof samples / 2;
  memcpy(samples, data + 4, 2 * left);

  const bool has_sound = ls_features_from_segment(samples, left, rows);
  if (left < 2 && has_sound) __builtin_trap();

  const int16_t *next = samples;
  ls_stream_reset(&stream, hop);
  if (ls_is_speech(&stream)) __builtin_trap();
  while (left > 0) {
    const size_t pushed = left < block || block == 0 ? left : block;
    const size_t taken = ls_stream_push(&stream, next, pushed);
    if (taken == 0 || taken > pushed) __builtin_trap();
    next += taken;
    left -= taken;
    if (!ls_stream_has_window(&stream)) continue;
    const bool is_speech = ls_is_speech(&stream);
    if (hop < LS_HOP_SAMPLES) continue; /* rows of every window would take long */
    if (!ls_features_from_stream(&stream, rows) && is_speech) __builtin_trap();
  }
  return 0;
}
