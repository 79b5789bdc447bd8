/** What the header of an MPEG-4 or QuickTime file says of its sound. */
import { AAC_RATES_HZ, MAX_ELEMENTS, streamInfo, text } from "./bytes.js";

const FIRST_BOXES = ["ftyp", "moov", "mdat", "wide", "free", "skip"];
const FOLDERS = ["moov", "trak", "mdia", "minf", "stbl"];
const AUDIO = ["mp4a", "Opus", "fLaC", "alac", "ac-3"];
const LONGEST_ENTRY = 4096;
// AAC object types that double the rate, and the mark of such a doubling that is told later.
const SBR = 5;
const PS = 29;
const SYNC_EXTENSION = 0x2b7;
const LOW_COMPLEXITY = 2;

/** As `readHeader`, of the first sample description that is audio. */
export function mp4(view) {
  if (!FIRST_BOXES.includes(text(view, 4, 4))) return null;
  return readBoxes(view, 0, view.byteLength, { left: MAX_ELEMENTS });
}

function readBoxes(view, start, end, budget) {
  for (let at = start; at + 8 <= end && budget.left-- > 0; ) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    }
    const next = size === 0 ? end : Math.min(end, at + size);
    if (next < at + head) return null;
    const name = text(view, at + 4, 4);
    let found = null;
    if (FOLDERS.includes(name)) found = readBoxes(view, at + head, next, budget);
    if (name === "stsd") found = readBoxes(view, at + head + 8, next, budget);
    if (AUDIO.includes(name)) found = readEntry(view, at + head, next);
    if (found) return found;
    at = next;
  }
  return null;
}

/** 16.16 fixed point in the entry; the decoder's own description is more exact. */
function readEntry(view, at, end) {
  const isVersion2 = view.getUint16(at + 8) === 2;
  const statedHz = isVersion2 ? view.getFloat64(at + 32) : view.getUint32(at + 24) >>> 16;
  const last = Math.min(end, at + LONGEST_ENTRY);
  for (let i = at + 28; i + 4 < last; i++) {
    const name = text(view, i, 4);
    if (name === "dfLa") return streamInfo(view, i + 8);
    if (name === "esds") return { rateHz: aacRate(view, i + 8, last) ?? statedHz };
  }
  return statedHz ? { rateHz: statedHz } : null;
}

/** Walk the descriptors down to AudioSpecificConfig (tag 5). */
function aacRate(view, at, end) {
  const skipped = { 3: 3, 4: 13 }; // bytes of ES and decoder descriptors before the next
  while (at < end) {
    const kind = view.getUint8(at++);
    let length = 0; // of one to four bytes
    for (let more = 1; more; at++) {
      const byte = view.getUint8(at);
      length = length * 128 + (byte & 0x7f);
      more = byte & 0x80;
    }
    if (kind === 5) return audioSpecificRate(view, at, at + length);
    if (!(kind in skipped)) return null;
    at += skipped[kind];
  }
  return null;
}

function audioSpecificRate(view, start, end) {
  let bit = start * 8;
  const take = (count) => {
    let value = 0;
    for (; count > 0; count--, bit++) {
      value = value * 2 + ((view.getUint8(bit >>> 3) >>> (7 - (bit & 7))) & 1);
    }
    return value;
  };
  const takeKind = () => {
    const kind = take(5);
    return kind === 31 ? 32 + take(6) : kind;
  };
  const takeRate = () => {
    const index = take(4);
    return index === 15 ? take(24) : (AAC_RATES_HZ[index] ?? null);
  };
  const kind = takeKind();
  const rateHz = takeRate();
  take(4); // channels
  if (kind === SBR || kind === PS) return takeRate();
  if (kind !== LOW_COMPLEXITY) return rateHz;
  take(1); // frame length
  if (take(1)) take(14); // delay of a core coder
  take(1);
  const isDoubled =
    end * 8 - bit >= 21 && take(11) === SYNC_EXTENSION && takeKind() === SBR && take(1) === 1;
  return isDoubled ? takeRate() : rateHz;
}
