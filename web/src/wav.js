/**
 * WAV files, read block by block, so that hours of sound need little memory.
 * A browser would read them whole, and scale positive 16-bit samples by 1/32767.
 */
import { EXTENSIBLE, FLOAT, PCM } from "./bytes.js";
import { BLOCK_VALUES } from "./channels.js";
import { Refusal } from "./refusal.js";

const MAX_CHANNELS = 64;
const RATES_HZ = [2_000, 768_000]; // beyond these a header is damaged, not audio
const MAX_CHUNKS = 10_000; // a header full of zeros would hold millions of empty ones
// What programs that write to a pipe state as length; the file's end tells instead.
const STREAMED_BYTES = 0x7ffff000;

const READERS = {
  [`${PCM}/8`]: (view, at) => (view.getUint8(at) - 128) / 128,
  [`${PCM}/16`]: (view, at) => view.getInt16(at, true) / 2 ** 15,
  [`${PCM}/24`]: (view, at) =>
    (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23,
  [`${PCM}/32`]: (view, at) => view.getInt32(at, true) / 2 ** 31,
  [`${FLOAT}/32`]: (view, at) => view.getFloat32(at, true),
  [`${FLOAT}/64`]: (view, at) => view.getFloat64(at, true),
};

/**
 * Open a WAV file.
 *
 * @param {Blob} file
 * @returns {Promise<object|null>} `rateHz`, `channels`, `frames` and what `wavBlocks`
 *   needs; null if it is no WAV, or one that is left to the browser (such as μ-law).
 * @throws {Refusal} A damaged or cut file.
 */
export async function openWav(file) {
  const head = await viewOf(file, 0, 12);
  if (head.byteLength < 12 || tag(head, 0) !== "RIFF" || tag(head, 8) !== "WAVE") return null;
  let format = null;
  for (let at = 12, chunks = 0; at + 8 <= file.size && chunks < MAX_CHUNKS; chunks++) {
    const chunk = await viewOf(file, at, 8);
    const bytes = chunk.getUint32(4, true);
    if (tag(chunk, 0) === "fmt ") format = await readFormat(file, at + 8, bytes);
    if (tag(chunk, 0) === "data") return format && describe(file, format, at + 8, bytes);
    at += 8 + bytes + (bytes % 2);
  }
  throw new Refusal("this WAV file holds no samples, or is cut off");
}

async function readFormat(file, start, bytes) {
  const view = await viewOf(file, start, Math.min(bytes, 40));
  if (view.byteLength < 16) throw new Refusal("the header of this WAV file is damaged");
  let code = view.getUint16(0, true);
  if (code === EXTENSIBLE && view.byteLength >= 26) code = view.getUint16(24, true);
  const [channels, rateHz] = [view.getUint16(2, true), view.getUint32(4, true)];
  const frameBytes = view.getUint16(12, true);
  const read = READERS[`${code}/${view.getUint16(14, true)}`];
  if (!read) return null;
  const isAudio =
    channels >= 1 &&
    channels <= MAX_CHANNELS &&
    rateHz >= RATES_HZ[0] &&
    rateHz <= RATES_HZ[1] &&
    frameBytes === (channels * view.getUint16(14, true)) / 8;
  if (!isAudio) throw new Refusal("the header of this WAV file is damaged");
  return { channels, rateHz, frameBytes, read };
}

function describe(file, format, start, bytes) {
  const isStreamed = bytes === 0 || bytes >= STREAMED_BYTES;
  if (!isStreamed && start + bytes > file.size) {
    throw new Refusal("this file is cut off: its header promises more sound");
  }
  const present = isStreamed ? file.size - start : bytes;
  return { ...format, start, frames: Math.floor(present / format.frameBytes) };
}

/** The samples: blocks of at most 262,144 values, each a list of channels. */
export async function* wavBlocks(file, wav) {
  const { channels, frameBytes, frames, read, start } = wav;
  const sampleBytes = frameBytes / channels;
  const blockFrames = Math.floor(BLOCK_VALUES / channels);
  for (let first = 0; first < frames; first += blockFrames) {
    const count = Math.min(blockFrames, frames - first);
    const view = await viewOf(file, start + first * frameBytes, count * frameBytes);
    yield Array.from({ length: channels }, (_, c) => {
      const samples = new Float64Array(count);
      for (let i = 0; i < count; i++) samples[i] = read(view, i * frameBytes + c * sampleBytes);
      return samples;
    });
  }
}

async function viewOf(file, start, bytes) {
  return new DataView(await file.slice(start, start + bytes).arrayBuffer());
}

function tag(view, at) {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}
