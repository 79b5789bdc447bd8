#ifndef LIGHT_SERNET_FRONT_END_TABLES_H_
#define LIGHT_SERNET_FRONT_END_TABLES_H_

/* Constants of light_sernet_front_end.c, the only file that includes this one. */

#include <stdint.h>

#define LS_TAKES_SPECTROGRAM $takes_spectrogram
#define LS_TAKES_MFCC $takes_mfcc
#define LS_NUM_BINS $num_bins
#define LS_LOG_OFFSET ${log_offset}f
#define LS_MFCC_LIMIT ${mfcc_limit}f

/* Share of the samples above full scale, in parts per billion. */
#define LS_CLIPPED_PPB UINT64_C($clipped_ppb)

/* real = scale * (int8 - zero point) */
#define LS_INPUT_SCALE ${input_scale}f
#define LS_INPUT_ZERO_POINT ($input_zero_point)

/* Powers are mean squares re full scale. */
#define LS_ROOM_POWER ${room_power}f
#define LS_SPEECH_RANGE ${speech_range}f
#define LS_SPEECH_PERCENTILE $speech_percentile

/* $window_name window / 32768 */
static const float ls_window[LS_FRAME_SAMPLES] = {
$window
};

/* cos, sin of 2 pi k / LS_FFT_SIZE for k from 0 to LS_FFT_SIZE / 2 - 1 */
static const float ls_twiddles[LS_FFT_SIZE] = {
$twiddles
};
$mel_tables$dct_table$scale_tables
#endif
