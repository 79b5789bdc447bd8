/** What the header of a WebM or Matroska file says of its sound. */
import { MAX_ELEMENTS, OPUS_HZ, streamInfo, text } from "./bytes.js";

const EBML = 0x1a45dfa3;
// Segment, tracks, track entry, audio: the folders above what is wanted.
const TRACK_ENTRY = 0xae;
const AUDIO = 0xe1;
const FOLDERS = [0x18538067, 0x1654ae6b, TRACK_ENTRY, AUDIO];
const CODEC = 0x86;
const CODEC_PRIVATE = 0x63a2;
const SAMPLING_FREQUENCY = 0xb5;
const OUTPUT_SAMPLING_FREQUENCY = 0x78b5; // of AAC with doubled rate
const DEFAULT_HZ = 8000; // of a track that states no rate

/** As `readHeader`, of the first track with sound. */
export function matroska(view) {
  if (view.getUint32(0) !== EBML) return null;
  return readElements(view, 0, view.byteLength, { left: MAX_ELEMENTS });
}

/** Walk through elements; `track` collects what the present track entry says. */
function readElements(view, start, end, budget, track = {}) {
  for (let at = start; at < end && budget.left-- > 0; ) {
    const idBytes = Math.clz32(view.getUint8(at)) - 23;
    const id = number(view, at, idBytes);
    at += idBytes;
    const sizeBytes = Math.clz32(view.getUint8(at)) - 23;
    const size = sizeOf(view, at, sizeBytes) ?? end - at - sizeBytes; // unknown: to the end
    at += sizeBytes;
    const next = Math.min(end, at + size);
    if (id === AUDIO) track.rateHz = DEFAULT_HZ;
    if (id === CODEC) track.codec = text(view, at, Math.min(size, 32));
    if (id === CODEC_PRIVATE) track.privateAt = at;
    if (id === SAMPLING_FREQUENCY) track.rateHz = float(view, at, size);
    if (id === OUTPUT_SAMPLING_FREQUENCY) track.outputHz = float(view, at, size);
    if (FOLDERS.includes(id)) {
      const inner = id === TRACK_ENTRY ? {} : track;
      const found = readElements(view, at, next, budget, inner);
      if (found) return found;
      if (id === TRACK_ENTRY && inner.rateHz !== undefined) return described(view, inner);
    }
    at += size;
  }
  return null;
}

function described(view, { codec = "", rateHz, outputHz, privateAt }) {
  if (codec.startsWith("A_OPUS")) return { rateHz: OPUS_HZ, sourceHz: rateHz };
  if (codec.startsWith("A_FLAC") && privateAt && text(view, privateAt, 4) === "fLaC") {
    return streamInfo(view, privateAt + 4);
  }
  return { rateHz: outputHz ?? rateHz };
}

function float(view, at, size) {
  return size === 4 ? view.getFloat32(at) : size === 8 ? view.getFloat64(at) : DEFAULT_HZ;
}

/** The first byte's highest 1 only tells how many bytes follow; null if all others are 1. */
function sizeOf(view, at, bytes) {
  const mark = 2 ** (8 - bytes);
  const isUnknown =
    view.getUint8(at) === 2 * mark - 1 && number(view, at + 1, bytes - 1) === 256 ** (bytes - 1) - 1;
  if (isUnknown) return null;
  return (view.getUint8(at) % mark) * 256 ** (bytes - 1) + number(view, at + 1, bytes - 1);
}

function number(view, at, bytes) {
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + view.getUint8(at + i);
  return value;
}
