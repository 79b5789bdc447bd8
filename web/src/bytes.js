/** What the readers of headers share. */

export const OPUS_HZ = 48_000; // whatever the microphone's rate was
export const MAX_ELEMENTS = 10_000; // a crafted file may hold millions of empty ones
// Format codes of WAV.
export const PCM = 1;
export const FLOAT = 3;
export const EXTENSIBLE = 0xfffe; // the true code stands further on
export const AAC_RATES_HZ = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
  7_350,
];

export function text(view, at, length) {
  let letters = "";
  for (let i = 0; i < length; i++) letters += String.fromCharCode(view.getUint8(at + i));
  return letters;
}

/** FLAC's first metadata block, from its header: 20 bits of the rate; sample bits less 1 follow. */
export function streamInfo(view, at) {
  const bits = ((view.getUint16(at + 16) >>> 4) & 31) + 1;
  return { rateHz: view.getUint32(at + 14) >>> 12, isInt16: bits <= 16 };
}
