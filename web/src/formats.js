/**
 * What the header of a compressed file says of its sound. The browser must decode at the
 * file's own rate: at any other it resamples, and badly.
 */

const MP3_RATES_HZ = [44_100, 48_000, 32_000]; // of MPEG 1; halves and quarters follow
const AAC_RATES_HZ = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
  7_350,
];
const OPUS_HZ = 48_000; // whatever the microphone's rate was
const SBR = 5; // AAC object types that double the rate
const PS = 29;

/**
 * @param {Uint8Array} bytes The whole file.
 * @returns {{rateHz: number, sourceHz?: number, isInt16?: boolean}|null} The rate to
 *   decode at; the rate before coding, if it was another; whether samples are of 16
 *   bits. Null if the format is not known here.
 */
export function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const read of [flac, ogg, mp4, matroska, adts, mp3]) {
    try {
      const found = read(view);
      if (found) return typeof found === "number" ? { rateHz: found } : found;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // RangeError: the file ends too early
    }
  }
  return null;
}

function text(view, at, length) {
  let letters = "";
  for (let i = 0; i < length; i++) letters += String.fromCharCode(view.getUint8(at + i));
  return letters;
}

/** 20 bits of STREAMINFO, which is always the first block; sample bits less 1 follow. */
function flac(view, at = 0) {
  if (text(view, at, 4) !== "fLaC") return null;
  const bits = ((view.getUint16(at + 20) >>> 4) & 31) + 1;
  return { rateHz: view.getUint32(at + 18) >>> 12, isInt16: bits <= 16 };
}

/** The first packet names the codec. */
function ogg(view) {
  if (text(view, 0, 4) !== "OggS") return null;
  const packet = 27 + view.getUint8(26);
  if (text(view, packet, 8) === "OpusHead") {
    return { rateHz: OPUS_HZ, sourceHz: view.getUint32(packet + 12, true) };
  }
  if (text(view, packet, 7) === "\x01vorbis") return view.getUint32(packet + 12, true);
  return text(view, packet, 5) === "\x7fFLAC" ? flac(view, packet + 9) : null;
}

/** Frame header after the ID3 tag; the next frame must follow where this one says. */
function mp3(view) {
  let at = 0;
  while (text(view, at, 3) === "ID3") at += 10 + syncSafe(view, at + 6);
  for (const end = Math.min(view.byteLength - 4, at + 65_536); at < end; at++) {
    const frame = mp3Frame(view, at);
    if (frame && mp3Frame(view, at + frame.bytes)?.rateHz === frame.rateHz) return frame.rateHz;
  }
  return null;
}

function syncSafe(view, at) {
  return [0, 1, 2, 3].reduce((size, i) => size * 128 + (view.getUint8(at + i) & 0x7f), 0);
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
  return { rateHz, bytes };
}

/** Bare AAC. */
function adts(view) {
  const isSync = (view.getUint16(0) & 0xfff6) === 0xfff0; // layer bits are 0, unlike MP3's
  return isSync ? AAC_RATES_HZ[(view.getUint8(2) >>> 2) & 15] : null;
}

/** MPEG-4: the first sample description that is audio. */
function mp4(view) {
  if (text(view, 4, 4) !== "ftyp") return null;
  return mp4Boxes(view, 0, view.byteLength);
}

const MP4_FOLDERS = ["moov", "trak", "mdia", "minf", "stbl"];
const MP4_AUDIO = ["mp4a", "Opus", "fLaC", "alac", "ac-3"];

function mp4Boxes(view, start, end) {
  for (let at = start; at + 8 <= end; ) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    }
    const next = size === 0 ? end : Math.min(end, at + size);
    if (next < at + head) return null;
    const name = text(view, at + 4, 4);
    let rateHz = null;
    if (MP4_FOLDERS.includes(name)) rateHz = mp4Boxes(view, at + head, next);
    if (name === "stsd") rateHz = mp4Boxes(view, at + head + 8, next);
    if (MP4_AUDIO.includes(name)) rateHz = mp4Entry(view, at + head, next);
    if (rateHz) return rateHz;
    at = next;
  }
  return null;
}

/** 16.16 fixed point in the entry; the decoder's own description is more exact. */
function mp4Entry(view, at, end) {
  const stated = view.getUint32(at + 24) >>> 16;
  for (let i = at + 28; i + 4 < end; i++) {
    if (text(view, i, 4) === "esds") return aacRate(view, i + 8, end) ?? stated;
  }
  return stated;
}

/** Walk the descriptors down to AudioSpecificConfig (tag 5). */
function aacRate(view, at, end) {
  const skipped = { 3: 3, 4: 13 }; // bytes of ES and decoder descriptors before the next
  while (at < end) {
    const kind = view.getUint8(at++);
    while (view.getUint8(at++) & 0x80); // length, of one to four bytes
    if (kind === 5) return audioSpecificRate(view, at);
    if (!(kind in skipped)) return null;
    at += skipped[kind];
  }
  return null;
}

function audioSpecificRate(view, at) {
  let bit = at * 8;
  const take = (count) => {
    let value = 0;
    for (; count > 0; count--, bit++) {
      value = value * 2 + ((view.getUint8(bit >>> 3) >>> (7 - (bit & 7))) & 1);
    }
    return value;
  };
  const takeRate = () => {
    const index = take(4);
    return index === 15 ? take(24) : AAC_RATES_HZ[index];
  };
  const kind = take(5);
  const rateHz = takeRate();
  take(4); // channels
  return kind === SBR || kind === PS ? takeRate() : rateHz;
}

const EBML = 0x1a45dfa3;
// Segment, tracks, track entry, audio: the folders above what is wanted.
const MATROSKA_FOLDERS = [0x18538067, 0x1654ae6b, 0xae, 0xe1];
const CODEC = 0x86;
const SAMPLING_FREQUENCY = 0xb5;

/** WebM and Matroska. */
function matroska(view) {
  if (view.getUint32(0) !== EBML) return null;
  const found = { codec: "", rateHz: null };
  matroskaElements(view, 0, view.byteLength, found);
  if (!(found.rateHz >= 1 && found.rateHz < Infinity)) return null;
  const isOpus = found.codec.startsWith("A_OPUS");
  return isOpus ? { rateHz: OPUS_HZ, sourceHz: found.rateHz } : found.rateHz;
}

/** Fills in the codec and rate of the first track with sound. */
function matroskaElements(view, start, end, found) {
  for (let at = start; at < end && !found.rateHz; ) {
    const idBytes = Math.clz32(view.getUint8(at)) - 23;
    const id = number(view, at, idBytes);
    at += idBytes;
    const sizeBytes = Math.clz32(view.getUint8(at)) - 23;
    const size = matroskaSize(view, at, sizeBytes) ?? end - at - sizeBytes; // unknown: to the end
    at += sizeBytes;
    if (id === CODEC) found.codec = text(view, at, Math.min(size, 32));
    if (id === SAMPLING_FREQUENCY) {
      found.rateHz = size === 4 ? view.getFloat32(at) : view.getFloat64(at);
    }
    if (MATROSKA_FOLDERS.includes(id)) matroskaElements(view, at, Math.min(end, at + size), found);
    at += size;
  }
}

/** The first byte's highest 1 only tells how many bytes follow; null if all others are 1. */
function matroskaSize(view, at, bytes) {
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
