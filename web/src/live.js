/** Sound that comes in while it is classified: a window every hop, or none. */
import { Bandwidth } from "./bandwidth.js";
import { bandwidthNotes, hopSeconds } from "./classify.js";
import { Resampler } from "./resample.js";
import { isSpeech, levelDb, ROOM_DB } from "./windows.js";

// A block that waited longer than this shows that the device is too slow: skip windows
// until the queue is empty, so that the answer is always about now.
const MAX_WAIT_MS = 200;
const LEVELS_KEPT_S = 600; // the last ten minutes set the speech level
const BANDWIDTH_AFTER_S = 6; // before, there may have been no speech to measure

/** Classifies a microphone's blocks. */
export class Live {
  #model;
  #report;
  #resampler;
  #window;
  #hop;
  #heard = 0; // samples at the model's rate
  #next; // sample at which the next window ends
  #levels = [];
  #levelsKept;
  #bandwidth;
  #skipped = 0;

  /**
   * @param {Model} model
   * @param {number} rateHz Of the microphone.
   * @param {(event: object) => void} report Called with `{level}` for each block, and
   *   with `{span, notes, skipped}` for each window.
   */
  constructor(model, rateHz, report) {
    const modelHz = model.frontEnd.sample_rate_hz;
    this.#model = model;
    this.#report = report;
    this.#resampler = rateHz === modelHz ? null : new Resampler(rateHz, modelHz);
    this.#window = new Float32Array(model.length);
    this.#hop = Math.trunc(hopSeconds(model.frontEnd) * modelHz);
    this.#levelsKept = LEVELS_KEPT_S / hopSeconds(model.frontEnd);
    this.#next = model.length;
    this.#bandwidth = new Bandwidth(modelHz);
  }

  /**
   * @param {Float32Array} block At the microphone's rate.
   * @param {number} sentAt When it was recorded, ms since 1970.
   */
  async take(block, sentAt) {
    const samples = this.#resampler ? this.#resampler.push(block) : block;
    this.#bandwidth.add(samples);
    this.#report({ level: levelDb(block) });
    // A block may hold the end of a window: what lies behind belongs to the next one.
    const toEnd = this.#next - this.#heard;
    this.#append(samples.subarray(0, toEnd));
    if (samples.length < toEnd) return;
    const isLate = Date.now() - sentAt > MAX_WAIT_MS;
    const window = isLate ? null : this.#window.slice();
    const end = this.#next;
    this.#next += this.#hop;
    this.#append(samples.subarray(toEnd));
    if (window) await this.#ask(window, end);
    else this.#skipped++;
  }

  #append(samples) {
    const kept = samples.subarray(Math.max(0, samples.length - this.#window.length));
    this.#window.copyWithin(0, kept.length);
    this.#window.set(kept, this.#window.length - kept.length);
    this.#heard += samples.length;
  }

  async #ask(window, end) {
    const { frontEnd, length } = this.#model;
    const probabilities = await this.#model.predict(window);
    const level = levelDb(window);
    this.#levels.push(level);
    if (this.#levels.length > this.#levelsKept) this.#levels.shift();
    const endS = end / frontEnd.sample_rate_hz;
    this.#report({
      span: {
        startS: (end - length) / frontEnd.sample_rate_hz,
        endS,
        levelDb: level,
        isSpeech: isSpeech(this.#levels).at(-1) && level > ROOM_DB,
        probabilities,
      },
      notes: endS < BANDWIDTH_AFTER_S ? [] : bandwidthNotes(this.#bandwidth.hz, frontEnd),
      skipped: this.#skipped,
    });
  }
}
