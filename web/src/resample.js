/**
 * Another sample rate, by a windowed-sinc filter.
 *
 * A browser's own resampler lets mirror images through, and the network then answers
 * otherwise. This one has the band edges of soxr's high quality, which the command line
 * uses: flat up to 0.914 of the lower Nyquist frequency, 134 dB down above it.
 */

// Ends of the flat part, as shares of the lower Nyquist frequency.
const PASS_EDGE = 0.9137;
export const SHARP_EDGE = 0.97; // for sound that ends at that frequency anyway
const STOP_DB = 134;
const MAX_EXACT_PHASES = 1280; // 11,025 Hz to 16,000 Hz needs 640
const ROUGH_PHASES = 1024; // for odd rates; between two of them it is interpolated

/** A stream of samples at one rate in, at another rate out, block by block. */
export class Resampler {
  #up;
  #down;
  #phases;
  #taps;
  #halfTaps;
  #kept = new Float64Array(0); // input samples that are still needed
  #keptStart; // their place in the whole input
  #input = 0; // samples that came in
  #output = 0; // samples that went out

  constructor(fromHz, toHz, passEdge = PASS_EDGE) {
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.#up = toHz / divisor;
    this.#down = fromHz / divisor;
    const band = Math.min(1, toHz / fromHz);
    const width = (1 - passEdge) * band; // of the transition, in input Nyquists
    this.#halfTaps = Math.ceil((STOP_DB - 7.95) / (2.285 * Math.PI * width) / 2);
    this.#taps = 2 * this.#halfTaps;
    const isExact = this.#up <= MAX_EXACT_PHASES;
    this.#phases = isExact ? this.#up : ROUGH_PHASES;
    this.#buildFilters(((1 + passEdge) / 2) * band, isExact ? 0 : 1);
    this.#keptStart = -this.#halfTaps; // the input begins between zeros
    this.#kept = new Float64Array(this.#halfTaps);
  }

  #filters;

  #buildFilters(cutoff, extra) {
    const beta = 0.1102 * (STOP_DB - 8.7); // Kaiser's formula
    const half = this.#halfTaps;
    this.#filters = [];
    for (let phase = 0; phase < this.#phases + extra; phase++) {
      const filter = new Float64Array(this.#taps);
      for (let tap = 0; tap < this.#taps; tap++) {
        const x = tap - half + 1 - phase / this.#phases;
        const inside = 1 - (x / half) ** 2;
        if (inside > 0) filter[tap] = cutoff * sinc(cutoff * x) * bessel(beta * Math.sqrt(inside));
      }
      // Each phase must pass a constant unchanged, else tones appear.
      const sum = filter.reduce((total, value) => total + value, 0);
      this.#filters.push(filter.map((value) => value / sum));
    }
  }

  /** Take in samples; give those that are complete. */
  push(samples) {
    this.#input += samples.length;
    this.#append(samples);
    // The last input sample that an output sample needs lies half a filter later.
    return this.#take(Math.ceil(((this.#input - this.#halfTaps) * this.#up) / this.#down));
  }

  /** The rest, as if zeros followed. */
  finish() {
    this.#append(new Float64Array(this.#taps));
    return this.#take(outputLength(this.#input, this.#up, this.#down));
  }

  #append(samples) {
    const firstNeeded =
      Math.floor((this.#output * this.#down) / this.#up) - this.#halfTaps + 1;
    const dropped = Math.min(this.#kept.length, Math.max(0, firstNeeded - this.#keptStart));
    const joined = new Float64Array(this.#kept.length - dropped + samples.length);
    joined.set(this.#kept.subarray(dropped));
    joined.set(samples, this.#kept.length - dropped);
    this.#kept = joined;
    this.#keptStart += dropped;
  }

  #take(end) {
    const out = new Float32Array(Math.max(0, end - this.#output));
    for (let i = 0; i < out.length; i++) out[i] = this.#sample(this.#output + i);
    this.#output += out.length;
    return out;
  }

  #sample(index) {
    const position = index * this.#down;
    const whole = Math.floor(position / this.#up);
    const phase = ((position % this.#up) * this.#phases) / this.#up;
    const start = whole - this.#halfTaps + 1 - this.#keptStart;
    const low = Math.floor(phase);
    const value = dot(this.#kept, start, this.#filters[low]);
    if (phase === low) return value;
    const next = dot(this.#kept, start, this.#filters[low + 1]);
    return value + (phase - low) * (next - value);
  }
}

/** Samples that come out for samples that went in: rounded, a half upwards. */
export function resampledLength(samples, fromHz, toHz) {
  const divisor = greatestCommonDivisor(fromHz, toHz);
  return outputLength(samples, toHz / divisor, fromHz / divisor);
}

function outputLength(input, up, down) {
  return Math.floor((input * up) / down + 0.5);
}

function dot(samples, start, filter) {
  let sum = 0;
  for (let i = 0; i < filter.length; i++) sum += samples[start + i] * filter[i];
  return sum;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of order 0, by its series. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
