/**
 * What the header of a compressed file says of its sound. The browser must decode at the
 * file's own rate: at any other it resamples, and badly.
 */
import { AAC_RATES_HZ, EXTENSIBLE, FLOAT, MAX_ELEMENTS, OPUS_HZ, PCM, streamInfo, text } from "./bytes.js";
import { matroska } from "./matroska.js";
import { mp4 } from "./mp4.js";

const MP3_RATES_HZ = [44_100, 48_000, 32_000]; // of MPEG 1; halves and quarters follow

/**
 * @param {Uint8Array} bytes The whole file.
 * @returns {{rateHz: number, sourceHz?: number, isInt16?: boolean, durationS?: number}|null} The rate to
 *   decode at; the rate before coding, if it was another; whether samples are of 16
 *   bits; the duration, of formats whose duration browsers guess. Null if the format is
 *   not known here.
 */
export function readHeader(bytes) {
  const view = afterTags(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  for (const read of [flac, ogg, wav, mp4, matroska, adts, mp3]) {
    try {
      const found = read(view);
      if (found?.rateHz >= 1 && found.rateHz < Infinity) return found;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // the file ends too early
    }
  }
  return null;
}

/** What follows ID3 tags, which may stand before any format. */
function afterTags(view) {
  let at = 0;
  for (let tags = 0; tags < MAX_ELEMENTS; tags++) {
    if (at + 10 > view.byteLength || text(view, at, 3) !== "ID3") break;
    at += 10 + syncSafe(view, at + 6);
  }
  const start = Math.min(at, view.byteLength);
  return new DataView(view.buffer, view.byteOffset + start, view.byteLength - start);
}

function syncSafe(view, at) {
  return [0, 1, 2, 3].reduce((size, i) => size * 128 + (view.getUint8(at + i) & 0x7f), 0);
}

function flac(view) {
  return text(view, 0, 4) === "fLaC" ? streamInfo(view, 4) : null;
}

/** The first packet of each stream names its codec; pictures may come before the sound. */
function ogg(view) {
  for (let at = 0, pages = 0; pages < MAX_ELEMENTS; pages++) {
    const isFirst = text(view, at, 4) === "OggS" && view.getUint8(at + 5) & 2;
    if (!isFirst) return null;
    const segments = view.getUint8(at + 26);
    const packet = at + 27 + segments;
    const found = oggPacket(view, packet);
    if (found) return found;
    at = packet;
    for (let i = 0; i < segments; i++) at += view.getUint8(packet - segments + i);
  }
  return null;
}

function oggPacket(view, at) {
  if (text(view, at, 8) === "OpusHead") {
    return { rateHz: OPUS_HZ, sourceHz: view.getUint32(at + 12, true) };
  }
  if (text(view, at, 7) === "\x01vorbis") return { rateHz: view.getUint32(at + 12, true) };
  return text(view, at, 5) === "\x7fFLAC" ? streamInfo(view, at + 13) : null;
}

/** The WAV files that are left to the browser: telephone codes, and files above 4 GiB. */
function wav(view) {
  if (!["RIFF", "RF64"].includes(text(view, 0, 4)) || text(view, 8, 4) !== "WAVE") return null;
  for (let at = 12, chunks = 0; chunks < MAX_ELEMENTS; chunks++) {
    if (text(view, at, 4) === "fmt ") {
      const stated = view.getUint16(at + 8, true);
      const code = stated === EXTENSIBLE ? view.getUint16(at + 32, true) : stated;
      const isInt16 = code === PCM ? view.getUint16(at + 22, true) === 16 : code !== FLOAT;
      return { rateHz: view.getUint32(at + 12, true), isInt16 };
    }
    const bytes = view.getUint32(at + 4, true);
    at += 8 + bytes + (bytes % 2);
  }
  return null;
}

/** The next frame must follow where this one says. */
function mp3(view) {
  for (let at = 0, end = Math.min(view.byteLength - 4, 65_536); at < end; at++) {
    const frame = mp3Frame(view, at);
    if (frame && mp3Frame(view, at + frame.bytes)?.rateHz === frame.rateHz) {
      return { rateHz: frame.rateHz, durationS: durationOf(view, at, mp3Frame) };
    }
  }
  return null;
}

const MP3_KBITS = {
  first: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  later: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};

/** Layer III only; null if no frame starts here. */
function mp3Frame(view, at) {
  const header = view.getUint32(at);
  const version = (header >>> 19) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  const isLayer3 = header >>> 21 === 0x7ff && ((header >>> 17) & 3) === 1;
  const rate = (header >>> 10) & 3;
  const bitrate = (header >>> 12) & 15;
  if (!isLayer3 || version === 1 || rate === 3 || bitrate === 0 || bitrate === 15) return null;
  const isFirst = version === 3;
  const rateHz = MP3_RATES_HZ[rate] / (isFirst ? 1 : version === 2 ? 2 : 4);
  const kbits = MP3_KBITS[isFirst ? "first" : "later"][bitrate];
  const padding = (header >>> 9) & 1;
  const bytes = Math.floor(((isFirst ? 144_000 : 72_000) * kbits) / rateHz) + padding;
  return { rateHz, bytes, samples: isFirst ? 1152 : 576 };
}

/** What all frames in a row last: these formats state no duration, or one that is guessed. */
function durationOf(view, at, readFrame) {
  let seconds = 0;
  while (at + 8 <= view.byteLength) {
    const frame = readFrame(view, at);
    if (!frame) break;
    seconds += frame.samples / frame.rateHz;
    at += frame.bytes;
  }
  return seconds;
}

/** Bare AAC. */
function adts(view) {
  const frame = adtsFrame(view, 0);
  return frame && { rateHz: frame.rateHz, durationS: durationOf(view, 0, adtsFrame) };
}

function adtsFrame(view, at) {
  const isSync = (view.getUint16(at) & 0xfff6) === 0xfff0; // layer bits are 0, unlike MP3's
  const bytes = (view.getUint32(at + 3) >>> 13) & 0x1fff;
  const rateHz = AAC_RATES_HZ[(view.getUint8(at + 2) >>> 2) & 15];
  return isSync && rateHz && bytes > 0 ? { rateHz, bytes, samples: 1024 } : null;
}
