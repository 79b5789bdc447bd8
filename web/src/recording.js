/** Files to answers: WAV is read in the worker, the rest is decoded by the browser. */
import { sampleRateOf } from "./formats.js";
import { Refusal } from "./refusal.js";

const MAX_DECODED_FILE_BYTES = 256 * 2 ** 20; // the browser keeps all samples in memory
const UNKNOWN_RATE_HZ = 48_000; // of a format whose header is not read here

/**
 * Classify a file.
 *
 * @param {Engine} engine
 * @param {Blob} file Any sound or video that the browser can decode.
 * @param {(span: object) => void} onSpan Called with each window of the timeline.
 * @returns {Promise<object>} As `classifyRecording`.
 * @throws {Refusal} One line for the user.
 */
export async function classifyFile(engine, file, onSpan) {
  if (file.size === 0) throw new Refusal("this file is empty");
  try {
    const result = await engine.classifyWav(file, onSpan);
    return result ?? (await engine.classifyDecoded(await decode(file), onSpan));
  } catch (error) {
    // The file was changed, moved or unplugged after it was chosen.
    if (error instanceof DOMException) throw new Refusal("this file can no longer be read");
    throw error;
  }
}

async function decode(file) {
  if (file.size > MAX_DECODED_FILE_BYTES) {
    throw new Refusal("this file is too large for the browser to decode; save it as WAV");
  }
  const bytes = await file.arrayBuffer();
  const rateHz = sampleRateOf(new Uint8Array(bytes)) ?? UNKNOWN_RATE_HZ;
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
  // Copies, since the buffer's own memory cannot be given to the worker.
  const channels = Array.from({ length: sound.numberOfChannels }, (_, c) =>
    sound.getChannelData(c).slice(),
  );
  return { rateHz, channels };
}
