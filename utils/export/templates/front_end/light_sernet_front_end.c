/* The numbers, from a model's settings, are in light_sernet_front_end_tables.h.
 *
 * With LIGHT_SERNET_USE_CMSIS_DSP defined, CMSIS-DSP computes the Fourier transform. */

#include "light_sernet_front_end.h"

#include <math.h>
#include <string.h>

#include "light_sernet_front_end_tables.h"

#define FULL_SCALE 32767.0f
#define BYTE_VALUES 256
#define BILLION UINT64_C(1000000000)

/* Samples of a segment or of a ring that wraps around at `capacity`. */
typedef struct {
  const int16_t *samples;
  size_t capacity;
  size_t start;
  size_t length;
} view;

static float frame[LS_FFT_SIZE];
static float spectrum[LS_FFT_SIZE];
static uint32_t counts[BYTE_VALUES];
#if !LS_TAKES_SPECTROGRAM
static float log_mel[LS_NUM_MEL_BANDS];
#endif
#if LS_IS_SCALED
static const float *scale_means = ls_means;
static const float *scale_deviations = ls_deviations;

void ls_set_scale(const float *means, const float *deviations) {
  scale_means = means != NULL ? means : ls_means;
  scale_deviations = deviations != NULL ? deviations : ls_deviations;
}
#endif

static int16_t sample_at(const view *segment, size_t index) {
  size_t position = segment->start + index;
  if (position >= segment->capacity) position -= segment->capacity;
  return segment->samples[position];
}

static int32_t magnitude_at(const view *segment, size_t index) {
  const int32_t sample = sample_at(segment, index);
  return sample < 0 ? -sample : sample;
}

static bool has_sound(const view *segment) {
  for (size_t i = 1; i < segment->length; ++i) {
    if (sample_at(segment, i) != sample_at(segment, 0)) return true;
  }
  return false;
}

/* The byte that holds the value of rank `rank`, 0 being the loudest. Leaves in `rank`
 * the rank among the values with this byte. */
static int32_t byte_of_rank(size_t *rank) {
  int32_t byte = BYTE_VALUES - 1;
  while (*rank >= counts[byte]) *rank -= counts[byte--];
  return byte;
}

/* The magnitude of rank `rank`, 0 being the loudest. Counts the upper bytes, then the
 * lower bytes below the right upper one; nothing is sorted. */
static int32_t magnitude_of_rank(const view *segment, size_t rank) {
  for (int i = 0; i < BYTE_VALUES; ++i) counts[i] = 0;
  for (size_t i = 0; i < segment->length; ++i) {
    ++counts[magnitude_at(segment, i) / BYTE_VALUES];
  }
  const int32_t upper = byte_of_rank(&rank);
  for (int i = 0; i < BYTE_VALUES; ++i) counts[i] = 0;
  for (size_t i = 0; i < segment->length; ++i) {
    const int32_t magnitude = magnitude_at(segment, i);
    if (magnitude / BYTE_VALUES == upper) ++counts[magnitude % BYTE_VALUES];
  }
  return upper * BYTE_VALUES + byte_of_rank(&rank);
}

/* The factor that lifts a percentile of the magnitudes to full scale; the percentile is
 * linear between two of them, as in NumPy. 0 if it is 0, or if there are no samples. */
static float gain_of(const view *segment) {
  if (segment->length == 0) return 0.0f;
  const size_t last = segment->length - 1;
  const uint64_t product = last * LS_CLIPPED_PPB;
  const size_t rank = (size_t)(product / BILLION);
  const float share = (float)(product % BILLION) * 1e-9f;
  const int32_t louder = magnitude_of_rank(segment, rank);
  const int32_t quieter = magnitude_of_rank(segment, rank < last ? rank + 1 : last);
  const float level = (float)louder - share * (float)(louder - quieter);
  return level > 0.0f ? FULL_SCALE / level : 0.0f;
}

/* The nearest integer; halves go to the even one. */
static int32_t round_to_even(float value) {
  const int32_t nearest = (int32_t)(value < 0.0f ? value - 0.5f : value + 0.5f);
  const float excess = (float)nearest - value;
  const bool is_half = excess == 0.5f || excess == -0.5f;
  return is_half ? nearest - nearest % 2 : nearest;
}

static float clip(float value, float limit) {
  return value < -limit ? -limit : value > limit ? limit : value;
}

/* A sample as a 16-bit step. A percentile of 0 makes every other sample full scale. */
static float normalised(int16_t sample, float gain) {
  if (gain > 0.0f) return (float)round_to_even(clip(sample * gain, FULL_SCALE));
  return sample > 0 ? FULL_SCALE : sample < 0 ? -FULL_SCALE : 0.0f;
}

/* Fills `frame` from sample `start` of the padded segment, which begins with `before`
 * zeros. */
static void fill_frame(const view *segment, float gain, size_t before, size_t start) {
  for (size_t i = 0; i < LS_FFT_SIZE; ++i) {
    const size_t position = start + i;
    const bool is_sample = i < LS_FRAME_SAMPLES && position >= before &&
                           position - before < segment->length;
    frame[i] =
        is_sample
            ? ls_window[i] * normalised(sample_at(segment, position - before), gain)
            : 0.0f;
  }
}

#ifdef LIGHT_SERNET_USE_CMSIS_DSP
#include "arm_math.h"

#if LS_FFT_SIZE < 32 || LS_FFT_SIZE > 4096
#error "CMSIS-DSP transforms 32 to 4096 points"
#endif

static void real_fft(void) {
  static arm_rfft_fast_instance_f32 transform;
  if (transform.fftLenRFFT != LS_FFT_SIZE) {
    arm_rfft_fast_init_f32(&transform, LS_FFT_SIZE);
  }
  arm_rfft_fast_f32(&transform, frame, spectrum, 0);
}
#else
#define HALF (LS_FFT_SIZE / 2)

/* Copies `frame`, as HALF complex numbers, to `spectrum` in bit-reversed order. */
static void reverse_bits(void) {
  size_t reversed = 0;
  for (size_t i = 0; i < HALF; ++i) {
    spectrum[2 * reversed] = frame[2 * i];
    spectrum[2 * reversed + 1] = frame[2 * i + 1];
    size_t bit = HALF / 2;
    while (reversed & bit) {
      reversed ^= bit;
      bit /= 2;
    }
    reversed |= bit;
  }
}

/* One stage of the complex transform: joins pairs of blocks of `half` numbers. */
static void join_blocks(size_t half) {
  for (size_t j = 0; j < half; ++j) {
    const float *twiddle = ls_twiddles + 2 * j * (HALF / half);
    const float real = twiddle[0], imaginary = -twiddle[1];
    for (size_t first = j; first < HALF; first += 2 * half) {
      float *a = spectrum + 2 * first;
      float *b = a + 2 * half;
      const float b_real = b[0] * real - b[1] * imaginary;
      const float b_imaginary = b[0] * imaginary + b[1] * real;
      b[0] = a[0] - b_real;
      b[1] = a[1] - b_imaginary;
      a[0] += b_real;
      a[1] += b_imaginary;
    }
  }
}

/* Transforms `frame` into `spectrum`: the real bins 0 and LS_FFT_SIZE / 2, then real
 * and imaginary parts of the bins between, as CMSIS-DSP packs them. */
static void real_fft(void) {
  reverse_bits();
  for (size_t half = 1; half < HALF; half *= 2) join_blocks(half);
  const float even = spectrum[0], odd = spectrum[1];
  spectrum[0] = even + odd;
  spectrum[1] = even - odd;
  for (size_t k = 1; k <= HALF / 2; ++k) { /* bins k and HALF - k */
    float *a = spectrum + 2 * k;
    float *b = spectrum + 2 * (HALF - k);
    const float real = ls_twiddles[2 * k], imaginary = -ls_twiddles[2 * k + 1];
    const float even_real = 0.5f * (a[0] + b[0]), even_imaginary = 0.5f * (a[1] - b[1]);
    const float odd_real = 0.5f * (a[1] + b[1]), odd_imaginary = 0.5f * (b[0] - a[0]);
    const float turned_real = odd_real * real - odd_imaginary * imaginary;
    const float turned_imaginary = odd_real * imaginary + odd_imaginary * real;
    a[0] = even_real + turned_real;
    a[1] = even_imaginary + turned_imaginary;
    b[0] = even_real - turned_real;
    b[1] = turned_imaginary - even_imaginary;
  }
}
#endif

/* Replaces `frame` by the LS_NUM_BINS magnitudes of `spectrum`. */
static void take_magnitudes(void) {
  frame[0] = spectrum[0] < 0.0f ? -spectrum[0] : spectrum[0];
  frame[LS_NUM_BINS - 1] = spectrum[1] < 0.0f ? -spectrum[1] : spectrum[1];
  for (size_t k = 1; k < LS_NUM_BINS - 1; ++k) {
    const float real = spectrum[2 * k], imaginary = spectrum[2 * k + 1];
    frame[k] = sqrtf(real * real + imaginary * imaginary);
  }
}

static int8_t quantised(float value) {
  const float step = value / LS_INPUT_SCALE;
  const int32_t rounded = round_to_even(clip(step, 1024.0f)) + LS_INPUT_ZERO_POINT;
  return (int8_t)(rounded < -128 ? -128 : rounded > 127 ? 127 : rounded);
}

#if !LS_TAKES_SPECTROGRAM
/* Fills `log_mel` from the magnitudes in `frame`. */
static void take_log_mel(void) {
  const float *weight = ls_mel_weights;
  for (size_t band = 0; band < LS_NUM_MEL_BANDS; ++band) {
    const float *bin = frame + ls_mel_first[band];
    float sum = 0.0f;
    for (size_t i = 0; i < ls_mel_count[band]; ++i) sum += *weight++ * bin[i];
    log_mel[band] = logf(sum + LS_LOG_OFFSET);
  }
}
#endif

static float standardised(float value, size_t index) {
#if LS_IS_SCALED
  return (value - scale_means[index]) / scale_deviations[index];
#else
  (void)index;
  return value;
#endif
}

static float feature_at(size_t index) {
#if LS_TAKES_MFCC
  const float *weights = ls_dct + index * LS_NUM_MEL_BANDS;
  float sum = 0.0f;
  for (size_t band = 0; band < LS_NUM_MEL_BANDS; ++band) {
    sum += weights[band] * log_mel[band];
  }
  return clip(standardised(sum, index), LS_MFCC_LIMIT);
#elif LS_TAKES_SPECTROGRAM
  return standardised(frame[index], index);
#else
  return standardised(log_mel[index], index);
#endif
}

static bool compute_rows(const view *segment, int8_t *rows) {
  const float gain = gain_of(segment);
  const size_t before = (LS_SEGMENT_SAMPLES - segment->length) / 2;
  for (size_t row = 0; row < LS_NUM_FRAMES; ++row) {
    fill_frame(segment, gain, before, row * LS_HOP_SAMPLES);
    real_fft();
    take_magnitudes();
#if !LS_TAKES_SPECTROGRAM
    take_log_mel();
#endif
    for (size_t i = 0; i < LS_NUM_FEATURES; ++i) *rows++ = quantised(feature_at(i));
  }
  return has_sound(segment);
}

bool ls_features_from_segment(const int16_t *samples, size_t num_samples,
                              int8_t *rows) {
  view segment = {samples, num_samples, 0, num_samples};
  if (num_samples > LS_SEGMENT_SAMPLES) {
    segment.start = (num_samples - LS_SEGMENT_SAMPLES) / 2;
    segment.length = LS_SEGMENT_SAMPLES;
  }
  return compute_rows(&segment, rows);
}

static view window_of(const ls_stream *stream) {
  const view window = {stream->ring, LS_SEGMENT_SAMPLES, stream->next,
                       LS_SEGMENT_SAMPLES};
  return window;
}

void ls_stream_reset(ls_stream *stream, size_t every) {
  memset(stream, 0, sizeof *stream);
  stream->every = every > 0 ? every : 1;
  stream->missing = LS_SEGMENT_SAMPLES;
}

/* Keeps the power of the window that has just become complete, without its mean: the
 * offset of a microphone is no sound. */
static void keep_power(ls_stream *stream) {
  int64_t total = 0;
  for (size_t i = 0; i < LS_SEGMENT_SAMPLES; ++i) total += stream->ring[i];
  const int32_t mean = (int32_t)(total / (int64_t)LS_SEGMENT_SAMPLES);
  uint64_t sum = 0;
  for (size_t i = 0; i < LS_SEGMENT_SAMPLES; ++i) {
    const int32_t sample = stream->ring[i] - mean;
    const uint32_t size = (uint32_t)(sample < 0 ? -sample : sample);
    sum += size * size;
  }
  const view window = window_of(stream);
  stream->has_sound = has_sound(&window);
  stream->powers[stream->next_power] =
      (float)sum * (1.0f / 1073741824.0f) / (float)LS_SEGMENT_SAMPLES;
  stream->next_power = (stream->next_power + 1) % LS_LEVELS_KEPT;
  if (stream->num_powers < LS_LEVELS_KEPT) ++stream->num_powers;
}

size_t ls_stream_push(ls_stream *stream, const int16_t *samples, size_t num_samples) {
  if (num_samples == 0) return 0;
  if (stream->missing == 0) stream->missing = stream->every;
  const size_t taken = num_samples < stream->missing ? num_samples : stream->missing;
  for (size_t i = 0; i < taken; ++i) {
    stream->ring[stream->next] = samples[i];
    stream->next = stream->next + 1 < LS_SEGMENT_SAMPLES ? stream->next + 1 : 0;
  }
  stream->missing -= taken;
  if (stream->missing == 0) keep_power(stream);
  return taken;
}

bool ls_stream_has_window(const ls_stream *stream) { return stream->missing == 0; }

bool ls_is_speech(const ls_stream *stream) {
  if (!stream->has_sound) return false;
  const size_t newest = stream->next_power > 0 ? stream->next_power : LS_LEVELS_KEPT;
  const float power = stream->powers[newest - 1];
  if (!(power > LS_ROOM_POWER)) return false;
  /* The percentile is in reach if enough powers are: it need not be known. */
  const size_t rank = ((stream->num_powers - 1) * LS_SPEECH_PERCENTILE + 99) / 100;
  size_t in_reach = 0;
  for (size_t i = 0; i < stream->num_powers; ++i) {
    if (stream->powers[i] <= power * LS_SPEECH_RANGE) ++in_reach;
  }
  return in_reach > rank;
}

bool ls_features_from_stream(const ls_stream *stream, int8_t *rows) {
  const view window = window_of(stream);
  return compute_rows(&window, rows);
}
