/**
 * How far up a recording reaches. Telephone and low bitrates leave the upper band empty,
 * and the network was trained on full-band speech: its answer is then unreliable.
 */

const FRAME = 1024; // samples
const LOWEST_HZ = 80; // below lie hum and rumble, which no feature hears
const EMPTY_DB = -65; // relative to the peak of the mean spectrum
const USABLE_SHARE_OF_NYQUIST = 0.9375; // an edge above is a resampling filter's

/** The highest frequency with sound in a stream, in flat memory. */
export class Bandwidth {
  #rateHz;
  #power = new Float64Array(FRAME / 2 + 1);
  #frame = new Float64Array(FRAME);
  #filled = 0;

  constructor(rateHz) {
    this.#rateHz = rateHz;
  }

  /** Take in the next samples. */
  add(samples) {
    for (const sample of samples) {
      this.#frame[this.#filled++] = sample;
      if (this.#filled === FRAME) {
        this.#addFrame();
        this.#filled = 0;
      }
    }
  }

  #addFrame() {
    const real = this.#frame.map((value, i) => value * WINDOW[i]);
    const imaginary = new Float64Array(FRAME);
    transform(real, imaginary);
    for (let bin = 0; bin <= FRAME / 2; bin++) {
      this.#power[bin] += real[bin] ** 2 + imaginary[bin] ** 2;
    }
  }

  /** In Hz; null if less than a frame or no sound came. */
  get hz() {
    const binHz = this.#rateHz / FRAME;
    const power = this.#power.map((value, bin) => (bin * binHz >= LOWEST_HZ ? value : 0));
    const peak = Math.max(...power);
    if (!(peak > 0)) return null;
    const least = peak * 10 ** (EMPTY_DB / 10);
    return power.findLastIndex((value) => value > least) * binHz;
  }
}

/** The bandwidth that a model's features need; 7500 Hz for the published ones. */
export function neededHz(frontEnd) {
  const nyquistHz = frontEnd.sample_rate_hz / 2;
  const topHz = frontEnd.input_type === "spectrogram" ? nyquistHz : frontEnd.mel_high_hz;
  return Math.min(topHz, USABLE_SHARE_OF_NYQUIST * nyquistHz);
}

const WINDOW = Float64Array.from(
  { length: FRAME },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (FRAME - 1)),
);
const COSINES = Float64Array.from({ length: FRAME / 2 }, (_, i) =>
  Math.cos((2 * Math.PI * i) / FRAME),
);
const SINES = Float64Array.from({ length: FRAME / 2 }, (_, i) =>
  Math.sin((2 * Math.PI * i) / FRAME),
);

/** Fourier transform of one frame, in place, radix 2. */
function transform(real, imaginary) {
  for (let i = 1, j = 0; i < FRAME; i++) {
    let bit = FRAME >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]]; // the input is real
  }
  for (let size = 2; size <= FRAME; size *= 2) {
    const half = size / 2;
    const step = FRAME / size;
    for (let start = 0; start < FRAME; start += size) {
      for (let k = 0; k < half; k++) {
        const cosine = COSINES[k * step];
        const sine = SINES[k * step];
        const low = start + k;
        const high = low + half;
        const re = real[high] * cosine + imaginary[high] * sine;
        const im = imaginary[high] * cosine - real[high] * sine;
        real[high] = real[low] - re;
        imaginary[high] = imaginary[low] - im;
        real[low] += re;
        imaginary[low] += im;
      }
    }
  }
}
