#ifndef LIGHT_SERNET_FRONT_END_H_
#define LIGHT_SERNET_FRONT_END_H_

/* From 16-bit samples to the int8 rows that the network takes; C99, float32, no heap.
 *
 * The functions share static scratch memory: call them from one task only. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LS_SAMPLE_RATE_HZ $sample_rate_hz
#define LS_SEGMENT_SAMPLES $segment_samples
#define LS_FRAME_SAMPLES $frame_samples
#define LS_HOP_SAMPLES $hop_samples
#define LS_FFT_SIZE $fft_size
#define LS_NUM_MEL_BANDS $num_mel_bands
#define LS_NUM_FRAMES $num_frames
#define LS_NUM_FEATURES $num_features
#define LS_ROWS_BYTES (LS_NUM_FRAMES * LS_NUM_FEATURES)

/* 1 if the network expects standardised features. */
#define LS_IS_SCALED $is_scaled

/* Windows whose levels decide what is loud enough to be speech. */
#define LS_LEVELS_KEPT $levels_kept

/* Static memory of the functions, an ls_stream on a 32-bit device, tables in flash. */
#define LS_SCRATCH_BYTES $scratch_bytes
#define LS_STREAM_BYTES $stream_bytes
#define LS_TABLE_BYTES $table_bytes

#ifdef __cplusplus
extern "C" {
#endif

/* The latest LS_SEGMENT_SAMPLES samples of a stream, and the levels of its windows. */
typedef struct {
  int16_t ring[LS_SEGMENT_SAMPLES];
  size_t next;    /* where the next sample goes */
  size_t missing; /* samples until the next window is complete */
  size_t every;   /* samples from one window to the next */
  float powers[LS_LEVELS_KEPT]; /* mean squares of the latest windows */
  size_t next_power;
  size_t num_powers;
  bool has_sound; /* the latest window is not constant */
} ls_stream;

/* Computes the rows of one recording: of its middle LS_SEGMENT_SAMPLES samples, or of
 * all samples between zeros.
 *
 * `rows` receives LS_NUM_FRAMES rows of LS_NUM_FEATURES values, one after the other.
 * Returns false if the segment has no sound (no samples, or all samples equal): the
 * answer is then "no speech", though the rows are filled. */
bool ls_features_from_segment(const int16_t *samples, size_t num_samples,
                              int8_t *rows);

#if LS_IS_SCALED
/* Standardises features by the mean and standard deviation of a voice: from each feature
 * LS_NUM_FEATURES means are subtracted, and it is divided by its standard deviation.
 *
 * `python -m utils.export.microcontroller --voice` writes both for a calibrated voice.
 * The arrays must stay where they are. NULL for both: the voice that the files were
 * written for. */
void ls_set_scale(const float *means, const float *deviations);
#endif

/* Empties a stream; it will have a window every `every` samples (at least 1). */
void ls_stream_reset(ls_stream *stream, size_t every);

/* Takes samples until a window is complete; returns how many it took.
 *
 * If ls_stream_has_window is true afterwards, call ls_is_speech, compute the rows, and
 * then push the rest. */
size_t ls_stream_push(ls_stream *stream, const int16_t *samples, size_t num_samples);

/* Whether the last sample pushed completed a window. */
bool ls_stream_has_window(const ls_stream *stream);

/* Whether the latest window is loud enough to be speech.
 *
 * Its level must be above $room_db dB re full scale and at most $speech_range_db dB below
 * percentile $speech_percentile of the latest LS_LEVELS_KEPT windows. A constant window is no speech.
 * False before the first window. */
bool ls_is_speech(const ls_stream *stream);

/* As ls_features_from_segment, of the latest LS_SEGMENT_SAMPLES samples.
 *
 * Call it when ls_stream_has_window is true. */
bool ls_features_from_stream(const ls_stream *stream, int8_t *rows);

#ifdef __cplusplus
}
#endif

#endif
