#ifndef LIGHT_SERNET_H_
#define LIGHT_SERNET_H_

/* From 16-bit samples at $sample_rate_hz Hz to classes, with TensorFlow Lite Micro.
 *
 * Once, for an answer per second:
 *
 *   light_sernet_set_up(LS_SAMPLE_RATE_HZ);
 *
 * Whenever samples arrive:
 *
 *   while (num_samples > 0) {
 *     const size_t taken = light_sernet_push(samples, num_samples);
 *     samples += taken;
 *     num_samples -= taken;
 *     const int best = light_sernet_classify(probabilities);
 *     if (best >= 0) show(light_sernet_classes[best], probabilities[best]);
 *   }
 *
 * The functions share static memory: call them from one task only. */

#include "light_sernet_front_end.h"
#include "light_sernet_model.h"

/* What the functions return if there is no class. */
#define LIGHT_SERNET_NO_SPEECH (-1)
#define LIGHT_SERNET_NO_WINDOW (-2) /* push more samples */
#define LIGHT_SERNET_FAILED (-3)    /* not set up, or the network failed */

#ifdef __cplusplus
extern "C" {
#endif

/* Prepares the network and an empty stream. Call it first, and to begin a new stream.
 *
 * `every`: samples from one answer to the next, at least 1.
 * Returns false if an operator or memory is missing. */
bool light_sernet_set_up(size_t every);

/* Takes samples of the stream until an answer is due; returns how many it took. Before
 * `light_sernet_set_up`, it takes all of them, and they are lost. */
size_t light_sernet_push(const int16_t *samples, size_t num_samples);

/* Classifies the latest LS_SEGMENT_SAMPLES samples of the stream, if an answer is due.
 *
 * `probabilities` receives LIGHT_SERNET_NUM_CLASSES values if there is a class.
 * Returns the index of the most probable class in light_sernet_classes, or one of the
 * constants above. */
int light_sernet_classify(float *probabilities);

/* Classifies one recording: its middle LS_SEGMENT_SAMPLES samples, or all samples
 * between zeros. It does not touch the stream. */
int light_sernet_classify_recording(const int16_t *samples, size_t num_samples,
                                    float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
