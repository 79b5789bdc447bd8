/* A program for a computer, to test the code on recordings.
 *
 *   light_sernet_wav RECORDING.wav [ROWS.bin]
 *
 * Prints the class of a WAV file (mono, 16 bits, $sample_rate_hz Hz), as
 * light_sernet_classify_recording does, and writes the int8 rows that the network gets.
 * Without TensorFlow Lite Micro it only computes the rows. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LIGHT_SERNET_HAS_NETWORK
#include "light_sernet.h"
#else
#include "light_sernet_front_end.h"
#endif

static uint32_t little_endian(const uint8_t *bytes, int count) {
  uint32_t value = 0;
  while (count-- > 0) value = value << 8 | bytes[count];
  return value;
}

static int fail(const char *path, const char *reason) {
  fprintf(stderr, "%s: %s\n", path, reason);
  return 2;
}

/* Moves to the samples; returns their number of bytes, or -1 for another format. */
static long find_samples(FILE *file) {
  uint8_t head[16];
  bool is_known = false;
  if (fread(head, 1, 12, file) != 12 || memcmp(head, "RIFF", 4) != 0) return -1;
  while (fread(head, 1, 8, file) == 8) {
    const uint32_t bytes = little_endian(head + 4, 4);
    if (memcmp(head, "data", 4) == 0) return is_known ? (long)bytes : -1;
    long left = (long)bytes + (bytes & 1);
    if (memcmp(head, "fmt ", 4) == 0) {
      if (bytes < 16 || fread(head, 1, 16, file) != 16) return -1;
      left -= 16;
      is_known = little_endian(head, 2) == 1 && little_endian(head + 2, 2) == 1 &&
                 little_endian(head + 4, 4) == LS_SAMPLE_RATE_HZ &&
                 little_endian(head + 14, 2) == 16;
    }
    if (fseek(file, left, SEEK_CUR) != 0) return -1;
  }
  return -1;
}

/* Returns the samples, on the heap; NULL for another format or a file that is cut. */
static int16_t *read_wav(FILE *file, size_t *num_samples) {
  const long bytes = find_samples(file);
  if (bytes < 0) return NULL;
  *num_samples = (size_t)bytes / 2;
  uint8_t *raw = malloc((size_t)bytes + 1);
  int16_t *samples = malloc((size_t)bytes + 2);
  if (raw == NULL || samples == NULL ||
      fread(raw, 1, (size_t)bytes, file) != (size_t)bytes) {
    free(samples);
    samples = NULL;
  }
  for (size_t i = 0; samples != NULL && i < *num_samples; ++i) {
    samples[i] = (int16_t)little_endian(raw + 2 * i, 2);
  }
  free(raw);
  return samples;
}

#ifdef LIGHT_SERNET_HAS_NETWORK
static int show_class(const char *path, const int16_t *samples, size_t num_samples) {
  static float probabilities[LIGHT_SERNET_NUM_CLASSES];
  if (!light_sernet_set_up(LS_SAMPLE_RATE_HZ)) return fail(path, "set-up failed");
  const int best = light_sernet_classify_recording(samples, num_samples, probabilities);
  if (best == LIGHT_SERNET_NO_SPEECH) return puts("no speech") < 0;
  if (best < 0) return fail(path, "the network failed");
  for (int i = 0; i < LIGHT_SERNET_NUM_CLASSES; ++i) {
    printf("%s %.3f%s\n", light_sernet_classes[i], (double)probabilities[i],
           i == best ? " *" : "");
  }
  return 0;
}
#endif

static int write_rows(const char *path, const int16_t *samples, size_t num_samples) {
  static int8_t rows[LS_ROWS_BYTES];
  FILE *file = fopen(path, "wb");
  if (file == NULL) return fail(path, "cannot be written");
  ls_features_from_segment(samples, num_samples, rows);
  const bool is_whole = fwrite(rows, 1, sizeof rows, file) == sizeof rows;
  return fclose(file) == 0 && is_whole ? 0 : fail(path, "cannot be written");
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: %s RECORDING.wav [ROWS.bin]\n", argv[0]);
    return 2;
  }
  FILE *file = fopen(argv[1], "rb");
  if (file == NULL) return fail(argv[1], "cannot be opened");
  size_t num_samples = 0;
  int16_t *samples = read_wav(file, &num_samples);
  fclose(file);
  if (samples == NULL) {
    return fail(argv[1], "must be a whole WAV file, mono, 16 bits, $sample_rate_hz Hz");
  }
  int status = argc == 3 ? write_rows(argv[2], samples, num_samples) : 0;
#ifdef LIGHT_SERNET_HAS_NETWORK
  if (status == 0) status = show_class(argv[1], samples, num_samples);
#endif
  free(samples);
  return status;
}
