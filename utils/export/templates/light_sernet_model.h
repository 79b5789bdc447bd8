#ifndef LIGHT_SERNET_MODEL_H_
#define LIGHT_SERNET_MODEL_H_

/* Light-SERNet, full int8: from the rows of light_sernet_front_end.h to classes. */

#define LIGHT_SERNET_MODEL_BYTES $model_bytes
/* Smallest tensor arena, measured with 64-bit pointers; align it to 16 bytes. */
#define LIGHT_SERNET_ARENA_BYTES $arena_bytes
#define LIGHT_SERNET_NUM_CLASSES $num_classes

/* real = scale * (int8 - zero point) */
#define LIGHT_SERNET_OUTPUT_SCALE ${output_scale}f
#define LIGHT_SERNET_OUTPUT_ZERO_POINT ($output_zero_point)

/* Operators to register: $operators. */
#define LIGHT_SERNET_NUM_OPERATORS $num_operators

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char light_sernet_model[LIGHT_SERNET_MODEL_BYTES];
extern const char *const light_sernet_classes[LIGHT_SERNET_NUM_CLASSES];

#ifdef __cplusplus
}
#endif

#endif
