/** Recordings to answers: the middle segment, and a timeline over all of it. */
import { Bandwidth, neededHz } from "./bandwidth.js";
import { Refusal } from "./refusal.js";
import { Resampler, resampledLength, SHARP_EDGE } from "./resample.js";
import {
  centreStart,
  heardSamples,
  isSpeech,
  levelDb,
  overlappingSegments,
  SILENCE_DB,
  Sliding,
} from "./windows.js";

const LARGEST_FLOAT32 = 3.4028234663852886e38;
const ENVELOPE_STEPS = 2000; // more than a screen has pixels
const MUCH_LEFT_OUT = 2; // the note comes when the file is longer than so many segments

/** Seconds from one window of a timeline to the next. */
export function hopSeconds(frontEnd) {
  return Math.min(0.5, frontEnd.duration_s);
}

/**
 * Classify one recording.
 *
 * @param {Model} model
 * @param {{rateHz: number, sourceHz?: number, frames: number,
 *   blocks: AsyncIterable<Float64Array>}} sound Mono blocks at the file's own rate, and
 *   the rate before it was coded.
 * @param {(share: number) => void} onProgress Called with the share that has been heard.
 * @param {() => Promise<void>} pause Awaited now and then; may throw to stop.
 * @returns {Promise<object>} `centre` (probabilities; null if the middle is silent),
 *   `mean` of the windows with speech, `spans`, `durationS`, `bandwidthHz`, `notes`,
 *   `envelope` (lowest and highest sample of each step).
 * @throws {Refusal} No sound, too short, silent, or no numbers.
 */
export async function classifyRecording(model, sound, onProgress, pause) {
  const { frontEnd, length } = model;
  const rateHz = frontEnd.sample_rate_hz;
  const total = resampledLength(sound.frames, sound.rateHz, rateHz);
  checkLength(sound.frames, total, frontEnd);
  const sliding = new Sliding(length, Math.trunc(hopSeconds(frontEnd) * rateHz));
  const heard = heardSamples(length, model.segmentMode);
  const centre = new Part(centreStart(total, heard), Math.min(total, heard));
  const envelope = new Envelope(total);
  const bandwidth = new Bandwidth(rateHz);
  const spans = [];
  const ask = async (window) => {
    const span = {
      startS: window.start / rateHz,
      endS: (window.start + window.samples.length) / rateHz,
      levelDb: levelDb(window.samples),
      probabilities: await model.predict(window.samples),
    };
    spans.push(span);
    onProgress(span.endS / (total / rateHz));
    await pause();
  };
  for await (const block of resampled(sound, rateHz, pause)) {
    centre.add(block);
    envelope.add(block);
    bandwidth.add(block);
    for (const window of sliding.push(block)) await ask(window);
  }
  for (const window of sliding.finish()) await ask(window);
  const judged = isSpeech(spans.map((span) => span.levelDb));
  if (!judged.includes(true)) throw new Refusal("this recording is silent throughout");
  spans.forEach((span, i) => (span.isSpeech = judged[i]));
  const isHeard = levelDb(centre.samples) > SILENCE_DB;
  // A short recording has one window, which is its centre.
  const isShort = total <= length;
  const answer = isShort ? spans[0].probabilities : await meanAnswer(model, centre.samples);
  return {
    centre: isHeard ? answer : null,
    mean: meanOfSpeech(spans, model.classes.length),
    spans,
    durationS: total / rateHz,
    bandwidthHz: bandwidth.hz,
    envelope: envelope.extremes,
    notes: [
      ...bandwidthNotes(bandwidth.hz, frontEnd),
      ...centreNotes(isHeard, total, heard, model),
    ],
  };
}

function checkLength(frames, total, frontEnd) {
  if (frames === 0) throw new Refusal("this file holds no sound");
  if (total < frontEnd.frame_length_samples) {
    const [least, got] = [frontEnd.frame_length_samples, total].map((samples) =>
      Number(((1000 * samples) / frontEnd.sample_rate_hz).toPrecision(3)),
    );
    throw new Refusal(`a recording must last at least ${least} ms; this one lasts ${got} ms`);
  }
}

/** The blocks at the model's rate; what float32 cannot hold is refused. */
async function* resampled(sound, rateHz, pause) {
  // What was coded from the model's own rate has nothing above that needs a gentle edge.
  const edge = sound.sourceHz === rateHz ? SHARP_EDGE : undefined;
  const resampler = sound.rateHz === rateHz ? null : new Resampler(sound.rateHz, rateHz, edge);
  for await (const block of constantAsZeros(sound.blocks, pause)) {
    if (!block.every((sample) => Math.abs(sample) <= LARGEST_FLOAT32)) {
      throw new Refusal("this recording holds samples that are no numbers, or infinite");
    }
    yield resampler ? resampler.push(block) : Float32Array.from(block);
  }
  if (resampler) yield resampler.finish();
}

/** The same blocks; zeros if all samples are equal: an offset is no sound. */
async function* constantAsZeros(blocks, pause) {
  let lead = []; // lengths of the blocks so far, while all samples are equal
  let first = null;
  for await (const block of blocks) {
    first ??= block[0];
    if (lead && block.every((sample) => sample === first)) {
      lead.push(block.length);
      await pause();
      continue;
    }
    for (const length of lead ?? []) yield new Float64Array(length).fill(first);
    lead = null;
    yield block;
  }
  for (const length of lead ?? []) yield new Float64Array(length);
}

/** A line if the upper band is empty. */
export function bandwidthNotes(foundHz, frontEnd) {
  const wantedHz = neededHz(frontEnd);
  if (foundHz === null || foundHz >= wantedHz) return [];
  return [
    `Sound reaches only ${(foundHz / 1000).toFixed(1)} kHz, but the model expects ` +
      `${(wantedHz / 1000).toFixed(1)} kHz. This happens with telephone sound and strong ` +
      "compression. The answer is unreliable.",
  ];
}

/** Mean probabilities of the segments that the model hears of the middle. */
async function meanAnswer(model, samples) {
  const answers = [];
  for (const part of overlappingSegments(samples, model.length)) {
    answers.push(await model.predict(part));
  }
  return answers[0].map((_, c) => answers.reduce((sum, one) => sum + one[c], 0) / answers.length);
}

function centreNotes(isHeard, total, heard, model) {
  const segment = `${Number((heard / model.frontEnd.sample_rate_hz).toPrecision(3))} s`;
  if (!isHeard) {
    return [`The middle ${segment} of this recording are silent. The timeline covers all of it.`];
  }
  if (total <= Math.max(heard, MUCH_LEFT_OUT * model.length)) return [];
  const durationS = (total / model.frontEnd.sample_rate_hz).toFixed(1);
  return [
    `“Middle” covers only the middle ${segment} of ${durationS} s. The timeline covers all of it.`,
  ];
}

/** Mean probabilities of the windows with speech. */
export function meanOfSpeech(spans, numClasses) {
  const spoken = spans.filter((span) => span.isSpeech);
  return Array.from(
    { length: numClasses },
    (_, c) => spoken.reduce((sum, span) => sum + span.probabilities[c], 0) / spoken.length,
  );
}

/** Part of a stream, by its place. */
class Part {
  #start;
  #position = 0;

  constructor(start, length) {
    this.#start = start;
    this.samples = new Float32Array(length);
  }

  add(block) {
    const low = Math.max(0, this.#start - this.#position);
    const high = Math.min(block.length, this.#start + this.samples.length - this.#position);
    if (low < high) {
      this.samples.set(block.subarray(low, high), this.#position + low - this.#start);
    }
    this.#position += block.length;
  }
}

/** Lowest and highest sample of each step of a recording, for its picture. */
class Envelope {
  #total;
  #steps;
  #position = 0;

  constructor(total) {
    this.#total = total;
    this.#steps = Math.min(ENVELOPE_STEPS, total);
    this.extremes = new Float32Array(2 * this.#steps);
  }

  add(block) {
    for (const sample of block) {
      const at = 2 * Math.floor((this.#position++ * this.#steps) / this.#total);
      if (sample < this.extremes[at]) this.extremes[at] = sample;
      if (sample > this.extremes[at + 1]) this.extremes[at + 1] = sample;
    }
  }
}
