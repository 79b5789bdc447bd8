/** Files to answers: WAV is read in the worker, the rest is decoded by the browser. */
import { Superseded } from "./engine.js";
import { readHeader } from "./formats.js";
import { Refusal } from "./refusal.js";

// The browser keeps all samples in memory.
const MAX_DECODED_FILE_BYTES = 256 * 2 ** 20;
const MAX_DECODED_H = 2;
const DURATION_LIMIT_MS = 3000;
const UNKNOWN = { rateHz: 48_000 }; // of a format whose header is not read here

/**
 * Classify a file.
 *
 * @param {Engine} engine
 * @param {Blob} file Any sound or video that the browser can decode.
 * @param {(share: number) => void} onProgress Called with the share that has been heard.
 * @returns {Promise<object>} As `classifyRecording`.
 * @throws {Refusal} One line for the user.
 * @throws {Superseded} Something newer was given to the engine.
 */
export async function classifyFile(engine, file, onProgress) {
  if (file.size === 0) throw new Refusal("this file is empty");
  const read = engine.classifyWav(file, onProgress);
  const job = engine.newestJob;
  const result = await read;
  if (result) return result;
  const sound = await decode(file);
  if (engine.newestJob !== job) throw new Superseded(); // something newer came meanwhile
  return engine.classifyDecoded(sound, onProgress);
}

async function decode(file) {
  if (file.size > MAX_DECODED_FILE_BYTES) {
    throw new Refusal("this file is too large for the browser to decode; save it as WAV");
  }
  const bytes = await file.arrayBuffer();
  const header = readHeader(new Uint8Array(bytes)) ?? UNKNOWN;
  const { rateHz, sourceHz, isInt16 } = header;
  const durationH = (header.durationS ?? (await statedDurationS(file))) / 3600;
  if (durationH > MAX_DECODED_H) {
    throw new Refusal(
      `this recording lasts ${durationH.toFixed(1)} h; the browser can decode ${MAX_DECODED_H} h. Save it as WAV`,
    );
  }
  let context;
  try {
    context = new OfflineAudioContext(1, 1, rateHz);
  } catch {
    throw new Refusal(`this browser cannot decode sound at ${rateHz} Hz; save the file as WAV`);
  }
  let sound;
  try {
    sound = await context.decodeAudioData(bytes);
  } catch {
    throw new Refusal(
      "this browser cannot read this file: it is no sound, is damaged, or its format is unknown here. WAV works everywhere",
    );
  }
  const scale = isInt16 ? await positiveScale() : 1;
  // Copies, since the buffer's own memory cannot be given to the worker.
  const channels = Array.from({ length: sound.numberOfChannels }, (_, c) =>
    sound.getChannelData(c).map((sample) => (sample > 0 ? sample * scale : sample)),
  );
  return { rateHz, sourceHz, channels };
}

/** What the browser reads of the duration; 0 if it does not tell soon. */
async function statedDurationS(file) {
  const player = new Audio();
  player.preload = "metadata";
  player.src = URL.createObjectURL(file);
  await new Promise((resolve) => {
    player.onloadedmetadata = player.onerror = resolve;
    setTimeout(resolve, DURATION_LIMIT_MS); // a page in the background may get no answer
    player.load();
  });
  const { duration, src } = player;
  player.removeAttribute("src");
  URL.revokeObjectURL(src);
  return Number.isFinite(duration) ? duration : 0;
}

/**
 * What positive samples of 16 bits must be multiplied with. Some browsers divide them by
 * 32,767 and negative ones by 32,768: a distortion that the network hears in quiet parts.
 */
async function positiveScale() {
  if (!positiveScale.known) {
    const context = new OfflineAudioContext(1, 1, 16_000);
    const sound = await context.decodeAudioData(oneSampleWav(2 ** 14));
    positiveScale.known = 0.5 / sound.getChannelData(0)[0];
  }
  return positiveScale.known;
}

function oneSampleWav(sample) {
  const [rateHz, frameBytes, headBytes] = [16_000, 2, 44];
  const view = new DataView(new ArrayBuffer(headBytes + frameBytes));
  const write = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, headBytes + frameBytes - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // integers
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * frameBytes, true);
  view.setUint16(32, frameBytes, true);
  view.setUint16(34, 8 * frameBytes, true);
  write(36, "data");
  view.setUint32(40, frameBytes, true);
  view.setInt16(44, sample, true);
  return view.buffer;
}
