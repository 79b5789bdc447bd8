/** Segments and windows: cut, padded and judged as the command line does it. */

export const SILENCE_DB = -200; // stands for digital silence
export const ROOM_DB = -60; // live: before anyone has spoken, the room sets no level
// A window this far below the recording's own speech level is no speech.
const SPEECH_RANGE_DB = 25;
const SPEECH_LEVEL_SHARE = 0.95; // of the windows lie below the speech level
const COUNTED_ZERO = 1e-30; // tells a recording's own zeros from padding; rounds to 0

const OVERLAPPING = 2; // segment mode of models that hear the whole utterance
const HOPS = 6; // overlapping segments begin at most a sixth of their length apart
const MOST_HOPS = 14;

/** The most samples that a model with segments of `length` samples hears of a recording. */
export function heardSamples(length, mode) {
  return mode === OVERLAPPING ? length + Math.floor((MOST_HOPS * length) / HOPS) : length;
}

/**
 * Segments that cover what a model hears, evenly spaced; those without speech are left out.
 *
 * @param {Float32Array} samples At most `heardSamples`.
 * @param {number} length The model's segment, in samples.
 * @returns {Float32Array[]} One if `samples` is not longer than a segment.
 */
export function overlappingSegments(samples, length) {
  const excess = Math.max(0, samples.length - length);
  const hops = Math.ceil((excess * HOPS) / length);
  const starts = Array.from({ length: hops + 1 }, (_, i) => (i ? Math.floor((excess * i) / hops) : 0));
  const parts = starts.map((start) => samples.subarray(start, start + length));
  const isHeard = isSpeech(parts.map(levelDb));
  const heard = parts.filter((_, i) => isHeard[i]);
  return heard.length ? heard : parts;
}

/** First sample of the centre segment; what is cut off is the same at both ends. */
export function centreStart(samples, length) {
  return Math.floor(Math.max(0, samples - length) / 2);
}

/**
 * A model's input: the samples between zeros, an odd zero more at the end.
 *
 * @param {Float32Array} samples At most `length`.
 * @param {number} length The model's segment, in samples.
 */
export function modelInput(samples, length) {
  const input = new Float32Array(length);
  const before = Math.floor((length - samples.length) / 2);
  for (let i = 0; i < samples.length; i++) {
    input[before + i] = samples[i] === 0 ? COUNTED_ZERO : samples[i];
  }
  return input;
}

/**
 * Root mean square in dB re full scale; -200 for silence. Without the mean: the offset
 * of a microphone is no sound.
 */
export function levelDb(samples) {
  let mean = 0;
  for (const sample of samples) mean += sample;
  mean /= samples.length;
  let power = 0;
  for (const sample of samples) power += (sample - mean) ** 2;
  power /= samples.length;
  return power > 0 ? Math.max(SILENCE_DB, 10 * Math.log10(power)) : SILENCE_DB;
}

/**
 * Which windows are near enough to the recording's speech level.
 *
 * @param {number[]} levels dB of all windows of one recording.
 * @returns {boolean[]}
 */
export function isSpeech(levels) {
  if (levels.length === 0) return [];
  const sorted = [...levels].sort((a, b) => a - b);
  // Rounded up: a single loud window among few must count as the speech it is.
  const speechLevel = sorted[Math.ceil(SPEECH_LEVEL_SHARE * (sorted.length - 1))];
  return levels.map((level) => level >= speechLevel - SPEECH_RANGE_DB && level > SILENCE_DB);
}

/** Cuts a stream into whole windows every hop, and a shorter last one. */
export class Sliding {
  #length;
  #hop;
  #kept = new Float32Array(0);
  #position = 0; // of the first kept sample
  #start = 0; // of the next window
  #covered = 0; // the end of the last window

  /**
   * @param {number} length Of a window, in samples.
   * @param {number} hop From one window to the next, in samples.
   */
  constructor(length, hop) {
    this.#length = length;
    this.#hop = hop;
  }

  /** @returns {{start: number, samples: Float32Array}[]} Windows that are complete. */
  push(samples) {
    const joined = new Float32Array(this.#kept.length + samples.length);
    joined.set(this.#kept);
    joined.set(samples, this.#kept.length);
    this.#kept = joined;
    this.#drop();
    const windows = [];
    while (this.#position === this.#start && this.#kept.length >= this.#length) {
      windows.push({ start: this.#start, samples: this.#kept.slice(0, this.#length) });
      this.#covered = this.#start + this.#length;
      this.#start += this.#hop;
      this.#drop();
    }
    return windows;
  }

  /** A last window for samples at the end that no other holds. */
  finish() {
    const end = this.#position + this.#kept.length;
    const isLeft = this.#position === this.#start && this.#kept.length > 0 && end > this.#covered;
    if (!isLeft) return [];
    return [{ start: this.#start, samples: this.#kept.slice(0, this.#length) }];
  }

  #drop() {
    const dropped = Math.min(this.#start - this.#position, this.#kept.length);
    this.#kept = this.#kept.subarray(dropped);
    this.#position += dropped;
  }
}
