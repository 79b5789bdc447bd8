/**
 * What a `.tflite` file says of itself: a ZIP at its end holds `light_sernet.json`.
 * Used by the page and by the build.
 */
import { oneLine, Refusal } from "./refusal.js";

const MEMBER = "light_sernet.json";
const FORMAT = 1;
const MAX_BYTES = 65_536; // of the description; real ones have about 1200
const END_OF_ZIP = { signature: 0x06054b50, size: 22, maxComment: 65_535 };
const ENTRY = { signature: 0x02014b50, size: 46 };
const LOCAL_HEADER = { signature: 0x04034b50, size: 30 };
const STORED = 0; // a compressed member could unpack to any size
const IDENTIFIER = "TFL3"; // at byte 4 of every .tflite
const RATES_HZ = [8_000, 192_000];
const MAX_SAMPLES = 2_000_000; // of a segment; memory follows from it
const MAX_FEATURES = 4096;
const MAX_CLASSES = 100;

/**
 * Read and check the description of a model that takes audio.
 *
 * @param {Uint8Array} file The whole `.tflite`.
 * @returns {object} The description, as the exporter wrote it.
 * @throws {Refusal} Not a model, no or a damaged description, or a model that takes
 *   features.
 */
export function readMetadata(file) {
  if (ascii(file.subarray(4, 8)) !== IDENTIFIER) {
    throw new Refusal("this is not a TensorFlow Lite model");
  }
  const text = readMember(file);
  if (text === null) {
    throw new Refusal(
      `the model has no ${MEMBER}, so nobody knows its classes; export it with this project`,
    );
  }
  let metadata;
  try {
    metadata = JSON.parse(text);
  } catch {
    throw new Refusal(`the model's ${MEMBER} is damaged`);
  }
  check(metadata);
  return metadata;
}

/** Samples in one segment of a model. */
export function segmentSamples(frontEnd) {
  return Math.trunc(frontEnd.duration_s * frontEnd.sample_rate_hz);
}

/** The text of our file in the ZIP; null without a ZIP or without that file. */
function readMember(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = findEnd(view);
  if (end === null) return null;
  const count = view.getUint16(end + 10, true);
  const directoryBytes = view.getUint32(end + 12, true);
  // Offsets count from the start of the ZIP or of the file; the directory's place tells.
  const directory = end - directoryBytes;
  const shift = directory - view.getUint32(end + 16, true);
  let entry = directory;
  for (let i = 0; i < count; i++) {
    if (entry < 0 || entry + ENTRY.size > end) return null;
    if (view.getUint32(entry, true) !== ENTRY.signature) return null;
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((at) =>
      view.getUint16(entry + at, true),
    );
    const name = ascii(file.subarray(entry + ENTRY.size, entry + ENTRY.size + nameBytes));
    if (name === MEMBER) return readEntry(file, view, entry, shift);
    entry += ENTRY.size + nameBytes + extraBytes + commentBytes;
  }
  return null;
}

/** Where the ZIP's last record starts; null without one. */
function findEnd(view) {
  const last = view.byteLength - END_OF_ZIP.size;
  for (let at = last; at >= Math.max(0, last - END_OF_ZIP.maxComment); at--) {
    if (view.getUint32(at, true) === END_OF_ZIP.signature) return at;
  }
  return null;
}

function readEntry(file, view, entry, shift) {
  const method = view.getUint16(entry + 10, true);
  const bytes = view.getUint32(entry + 24, true);
  const header = view.getUint32(entry + 42, true) + shift;
  if (method !== STORED) throw new Refusal(`the model's ${MEMBER} must not be compressed`);
  const isInside = header >= 0 && header + LOCAL_HEADER.size <= file.length;
  if (!isInside || view.getUint32(header, true) !== LOCAL_HEADER.signature) {
    throw new Refusal(`the model's ${MEMBER} is damaged`);
  }
  const start =
    header +
    LOCAL_HEADER.size +
    view.getUint16(header + 26, true) +
    view.getUint16(header + 28, true);
  if (bytes > MAX_BYTES || start + bytes > file.length) {
    throw new Refusal(`the model's ${MEMBER} is damaged or longer than ${MAX_BYTES} bytes`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(start, start + bytes));
  } catch {
    throw new Refusal(`the model's ${MEMBER} is damaged`);
  }
}

function ascii(bytes) {
  return String.fromCharCode(...bytes);
}

/** Refuse a description that the page could not use. */
function check(metadata) {
  if (!isObject(metadata) || metadata.format !== FORMAT) {
    throw new Refusal(`the model's ${MEMBER} must be of format ${FORMAT}; export the model again`);
  }
  checkClasses(metadata.classes);
  if (metadata.input !== "audio") {
    throw new Refusal(
      "this model takes features, not sound; choose a file with “fuse” in its name",
    );
  }
  const frontEnd = metadata.front_end;
  const isUsable =
    isObject(frontEnd) &&
    isWithin(frontEnd.sample_rate_hz, ...RATES_HZ) &&
    Number.isInteger(frontEnd.sample_rate_hz) &&
    isWithin(frontEnd.duration_s, 0.001, 3600) &&
    isWithin(frontEnd.frame_length_samples, 2, 65_536) &&
    isWithin(frontEnd.mel_high_hz, 1, RATES_HZ[1]) &&
    isWithin(segmentSamples(frontEnd), frontEnd.frame_length_samples, MAX_SAMPLES);
  if (!isUsable) throw new Refusal(`the model's ${MEMBER} has no usable front_end`);
  if (![undefined, 1, 2].includes(metadata.segment_mode)) {
    throw new Refusal(`the model's ${MEMBER} has another segment_mode than 1 or 2`);
  }
  if (metadata.voices != null && !isScale(metadata.voices)) {
    throw new Refusal(`the model's ${MEMBER} has damaged voices`);
  }
  for (const key of ["corpus", "scores", "new_voice"]) {
    if (metadata[key] != null && !isObject(metadata[key])) {
      throw new Refusal(`the model's ${MEMBER} has a damaged ${key}`);
    }
  }
}

/** Whether mean and deviation are lists of numbers of one length. */
function isScale(voices) {
  const { mean, deviation } = isObject(voices) ? voices : {};
  return (
    Array.isArray(mean) &&
    Array.isArray(deviation) &&
    isWithin(mean.length, 1, MAX_FEATURES) &&
    mean.length === deviation.length &&
    mean.every(Number.isFinite) &&
    deviation.every((value) => isWithin(value, Number.MIN_VALUE, Number.MAX_VALUE))
  );
}

function checkClasses(classes) {
  const isList =
    Array.isArray(classes) &&
    isWithin(classes.length, 1, MAX_CLASSES) &&
    classes.every((name) => typeof name === "string" && name && oneLine(name, 60) === name) &&
    new Set(classes).size === classes.length;
  if (!isList) throw new Refusal(`the model's ${MEMBER} has no usable list of classes`);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWithin(value, low, high) {
  return typeof value === "number" && value >= low && value <= high;
}
