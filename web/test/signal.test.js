/** The parts that compute, without a browser. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Bandwidth, neededHz } from "../src/bandwidth.js";
import { encoded, exampleClips, FORMATS, temporaryFolder } from "./clips.js";
import { readHeader } from "../src/formats.js";
import { ffmpeg } from "./python.js";
import { Resampler, resampledLength } from "../src/resample.js";
import { timelineCsv } from "../src/save.js";
import { openWav, wavBlocks } from "../src/wav.js";
import { centreStart, isSpeech, levelDb, modelInput, Sliding } from "../src/windows.js";
import { clock } from "../src/words.js";

const decibels = (ratio) => 20 * Math.log10(ratio);
const tone = (hz, rateHz, samples) =>
  Float64Array.from({ length: samples }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rateHz));

/** Through the resampler in uneven pieces, as files come. */
function resample(samples, fromHz, toHz) {
  const resampler = new Resampler(fromHz, toHz);
  const parts = [];
  for (let at = 0, size = 1; at < samples.length; at += size, size = (size * 7 + 3) % 5001) {
    parts.push(...resampler.push(samples.subarray(at, at + size)));
  }
  return Float64Array.from([...parts, ...resampler.finish()]);
}

/** Largest sample, away from the ends. */
function peak(samples) {
  return samples.subarray(500, -500).reduce((top, x) => Math.max(top, Math.abs(x)), 0);
}

describe("resampling", () => {
  for (const fromHz of [8_000, 11_025, 22_050, 44_056, 44_100, 48_000, 96_000]) {
    test(`from ${fromHz} Hz a tone stays where it is`, () => {
      const [hz, samples] = [1234, Math.round(fromHz / 3)];
      const out = resample(tone(hz, fromHz, samples), fromHz, 16_000);
      assert.equal(out.length, resampledLength(samples, fromHz, 16_000));
      const wanted = tone(hz, 16_000, out.length);
      const error = peak(out.map((sample, i) => sample - wanted[i]));
      assert.ok(decibels(error) < -100, `${decibels(error)} dB`);
    });
  }

  for (const hz of [8_100, 10_000, 15_000, 21_000]) {
    test(`of a tone at ${hz} Hz nothing is left`, () => {
      const out = resample(tone(hz, 44_100, 20_000), 44_100, 16_000);
      assert.ok(decibels(peak(out)) < -120, `${decibels(peak(out))} dB`);
    });
  }

  test("a recording shorter than the filter comes out whole", () => {
    assert.equal(resample(tone(100, 48_000, 7), 48_000, 16_000).length, 2);
  });
});

describe("windows", () => {
  test("whole windows every hop, then a shorter one for what is left", () => {
    const sliding = new Sliding(6, 2);
    const starts = [];
    for (const part of [[0, 1, 2], [3, 4, 5, 6], [7, 8]]) {
      for (const { start, samples } of sliding.push(Float32Array.from(part))) {
        assert.deepEqual([...samples], Array.from({ length: 6 }, (_, i) => start + i));
        starts.push(start);
      }
    }
    assert.deepEqual(starts, [0, 2]);
    const [last] = sliding.finish();
    assert.deepEqual([last.start, [...last.samples]], [4, [4, 5, 6, 7, 8]]);
  });

  test("nothing is left when the last window ends with the recording", () => {
    const sliding = new Sliding(4, 2);
    assert.equal(sliding.push(new Float32Array(8)).length, 3);
    assert.deepEqual(sliding.finish(), []);
  });

  test("a hop longer than a window leaves out what lies between", () => {
    const sliding = new Sliding(2, 5);
    const windows = sliding.push(Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
    assert.deepEqual(windows.map(({ start }) => start), [0, 5]);
    assert.deepEqual(sliding.finish(), []);
  });

  test("the middle: an odd sample more is cut at the end, an odd zero added there", () => {
    assert.equal(centreStart(10, 7), 1);
    assert.equal(centreStart(3, 7), 0);
    assert.deepEqual([...modelInput(Float32Array.from([5, 6]), 5)], [0, 5, 6, 0, 0]);
  });

  test("a zero of the recording's own differs from padding", () => {
    const input = modelInput(Float32Array.from([0]), 3);
    assert.ok(input[1] !== 0 && input[1] < 1e-20);
    assert.deepEqual([input[0], input[2]], [0, 0]);
  });

  test("speech is what lies within 25 dB of the loud windows", () => {
    assert.deepEqual(isSpeech([-20, -44, -46, -200]), [true, true, false, false]);
    assert.deepEqual(isSpeech([-200, -200]), [false, false]);
    assert.deepEqual(isSpeech([]), []);
  });

  test("level", () => {
    assert.ok(Math.abs(levelDb(tone(100, 16_000, 16_000)) + 3.01) < 0.01);
    assert.equal(levelDb(new Float64Array(10)), -200);
    assert.equal(levelDb(new Float64Array(10).fill(0.25)), -200);
    assert.ok(Math.abs(levelDb([0.3, 0.1, 0.3, 0.1]) + 20) < 0.01);
  });
});

describe("bandwidth", () => {
  test("ends at the highest tone", () => {
    const bandwidth = new Bandwidth(16_000);
    const [low, high] = [tone(500, 16_000, 8192), tone(3500, 16_000, 8192)];
    bandwidth.add(low.map((sample, i) => sample + 0.1 * high[i]));
    assert.ok(Math.abs(bandwidth.hz - 3500) < 50, `${bandwidth.hz}`);
  });

  test("is unknown without sound", () => {
    const bandwidth = new Bandwidth(16_000);
    bandwidth.add(new Float64Array(4096));
    assert.equal(bandwidth.hz, null);
  });

  test("needs what the features need", () => {
    const published = { sample_rate_hz: 16_000, input_type: "mfcc", mel_high_hz: 7600 };
    assert.equal(neededHz(published), 7500);
    assert.equal(neededHz({ ...published, mel_high_hz: 4000 }), 4000);
  });
});

describe("headers", () => {
  let folder;
  before(async () => (folder = await temporaryFolder()));
  after(() => folder.remove());

  const flac16 = ["-c:a", "flac", "-sample_fmt", "s16"];
  const more = [
    ["webm", ["-c:a", "libopus"], { rateHz: 48_000, sourceHz: 16_000 }],
    ["mka", [...flac16, "-ar", "32000"], { rateHz: 32_000, isInt16: true }],
    ["mp4", [...flac16, "-ar", "96000", "-strict", "-2"], { rateHz: 96_000, isInt16: true }],
    ["aac", ["-c:a", "aac", "-ar", "22050"], { rateHz: 22_050 }],
    ["mp4", ["-c:a", "aac", "-ar", "32000"], { rateHz: 32_000 }],
    ["mov", ["-c:a", "aac", "-ar", "24000"], { rateHz: 24_000 }],
    ["wav", ["-c:a", "pcm_mulaw", "-ar", "8000"], { rateHz: 8000, isInt16: true }],
    ["wav", ["-c:a", "pcm_s16le", "-rf64", "always"], { rateHz: 16_000, isInt16: true }],
    ["wav", ["-c:a", "pcm_s24le", "-rf64", "always"], { rateHz: 16_000, isInt16: false }],
  ];
  for (const [ending, options, wanted] of more) {
    test(`a .${ending} with ${options.join(" ")}, and no error when it is cut anywhere`, async () => {
      const [clip] = await exampleClips();
      const path = join(folder.path, `clip.${ending}`);
      await ffmpeg(["-i", clip, ...options, path]);
      const bytes = await readFile(path);
      const { durationS: _, ...found } = readHeader(bytes);
      assert.deepEqual(found, wanted);
      cutAnywhere(bytes);
    });
  }

  for (const [ending, options, frameS] of [
    ["mp3", ["-c:a", "libmp3lame", "-ar", "44100", "-q:a", "4", "-write_xing", "0"], 1152 / 44_100],
    ["mp3", ["-c:a", "libmp3lame", "-ar", "16000", "-b:a", "32k"], 576 / 16_000],
    ["aac", ["-c:a", "aac", "-b:a", "128k"], 1024 / 16_000],
  ]) {
    test(`the duration of .${ending} with ${options.join(" ")}, silence first`, async () => {
      const [clip] = await exampleClips();
      const path = join(folder.path, `silence.${ending}`);
      await ffmpeg(["-i", clip, "-af", "adelay=5000,apad=whole_dur=10", ...options, path]);
      const { durationS } = readHeader(await readFile(path));
      assert.ok(durationS >= 10 && durationS < 10 + 4 * frameS, `${durationS} s`); // and padding
    });
  }

  for (const format of ["flac", "mp3", "ogg"]) {
    test(`an ID3 tag before ${format}`, async () => {
      const [clip] = await exampleClips();
      const bytes = await readFile(await encoded(clip, format, folder.path));
      const tag = Buffer.alloc(10 + 300, "x");
      tag.write("ID3\x04\0\0\0\0\x02\x2c", "latin1"); // 2 * 128 + 44 bytes follow
      assert.deepEqual(readHeader(Buffer.concat([tag, bytes])), readHeader(bytes));
    });
  }

  test("a picture's stream before that of the sound, in Ogg", async () => {
    const [clip] = await exampleClips();
    const bytes = await readFile(await encoded(clip, "ogg", folder.path));
    const page = Buffer.alloc(28 + 64);
    page.write("OggS\0\x02", "latin1");
    page[26] = 1; // one segment of 64 bytes
    page[27] = 64;
    page.write("fishead\0", 28, "latin1");
    assert.deepEqual(readHeader(Buffer.concat([page, bytes])), readHeader(bytes));
  });

  test("the rate of AAC, whatever its kind", () => {
    const [kind5, kind6] = [5, 6];
    const cases = [
      [22_050, [2, kind5], [7, 4], [1, 4], [0, 3]],
      [44_100, [31, kind5], [39 - 32, kind6], [4, 4], [1, 4]], // low delay
      [48_000, [31, kind5], [42 - 32, kind6], [3, 4], [1, 4]], // USAC
      [32_000, [5, kind5], [8, 4], [1, 4], [5, 4], [2, kind5]], // doubled
      [32_000, [2, kind5], [8, 4], [1, 4], [0, 3], [0x2b7, 11], [5, kind5], [1, 1], [5, 4]],
      [11_999, [2, kind5], [15, 4], [11_999, 24], [1, 4], [0, 3]],
    ];
    for (const [rateHz, ...fields] of cases) {
      const bits = fields.map(([value, count]) => value.toString(2).padStart(count, "0")).join("");
      const bytes = bits.match(/.{1,8}/g).map((byte) => parseInt(byte.padEnd(8, "0"), 2));
      assert.deepEqual(readHeader(mp4(bytes)), { rateHz });
    }
  });

  test("version 2 of QuickTime's sound description", () => {
    const entry = Buffer.alloc(64);
    entry.writeUInt16BE(2, 8);
    entry.writeDoubleBE(44_100, 32);
    assert.deepEqual(readHeader(mp4Entry(entry)), { rateHz: 44_100 });
  });

  const rates = { flac: 16_000, "flac-22k": 22_050, mp3: 44_100, ogg: 44_100, m4a: 48_000, opus: 48_000 };
  for (const [format, rateHz] of Object.entries(rates)) {
    test(`the rate of ${format}, and no error when the file is cut anywhere`, async () => {
      const [clip] = await exampleClips();
      const bytes = await readFile(await encoded(clip, format, folder.path));
      assert.equal(readHeader(bytes).rateHz, rateHz);
      cutAnywhere(bytes);
    });
  }

  test("the rate of Matroska, however the sizes are written", () => {
    for (let sizeBytes = 1; sizeBytes <= 8; sizeBytes++) {
      for (let padding = 0; padding <= 40; padding++) {
        assert.equal(readHeader(matroska(22_050, sizeBytes, padding)).rateHz, 22_050);
      }
    }
  });

  test("Matroska, whatever the order of what it says", () => {
    const [opus, flac] = ["A_OPUS", "A_FLAC"].map((name) => [...Buffer.from(name)]);
    const codecLast = matroska(16_000, 1, 0, { codec: opus, isCodecLast: true });
    assert.deepEqual(readHeader(codecLast), { rateHz: 48_000, sourceHz: 16_000 });
    const doubled = matroska(16_000, 1, 0, { audio: [0x78, 0xb5, 0x84, ...float32(32_000)] });
    assert.deepEqual(readHeader(doubled), { rateHz: 32_000 });
    assert.deepEqual(readHeader(matroska(null, 1, 0, { codec: flac })), { rateHz: 8000 });
  });

  test("millions of empty elements end soon", () => {
    const size = 8 * 2 ** 20;
    const voids = Buffer.alloc(size, Uint8Array.of(0xec, 0x80));
    voids.writeUInt32BE(0x1a45dfa3);
    voids[4] = 0x80;
    voids[5] = 0xec;
    const boxes = Buffer.alloc(size, Uint8Array.of(0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65));
    const chunks = Buffer.alloc(size);
    chunks.write("RIFF\0\0\0\0WAVE", "latin1");
    const noDecoder = Buffer.alloc(size);
    noDecoder.writeUInt32BE(size);
    noDecoder.write("moov", 4);
    noDecoder.writeUInt32BE(size - 8, 8);
    noDecoder.write("mp4a", 12);
    const pages = Buffer.alloc(size, Buffer.concat([Buffer.from("OggS\0\x02"), Buffer.alloc(21)]));
    const tags = Buffer.alloc(size, "ID3\x04\0\0\0\0\0\0");
    for (const bytes of [voids, boxes, chunks, noDecoder, pages, tags]) {
      const start = process.cpuUsage();
      assert.equal(readHeader(bytes), null);
      const { user } = process.cpuUsage(start);
      assert.ok(user < 150_000, `${user} µs of CPU time`);
    }
  });

  test("a rate that is none is not known", () => {
    for (const rateHz of [0, -1, 1e-35, NaN, Infinity]) {
      assert.equal(readHeader(matroska(rateHz, 4, 0)), null);
    }
  });

  test("a text has no rate", () => {
    assert.equal(readHeader(new TextEncoder().encode("no sound ".repeat(50))), null);
  });

  for (const codec of ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"]) {
    test(`WAV as ${codec} holds the samples that ffmpeg reads`, async () => {
      const [clip] = await exampleClips();
      const [path, raw] = ["clip.wav", "clip.raw"].map((name) => join(folder.path, codec + name));
      await ffmpeg(["-i", clip, "-ac", "2", "-c:a", codec, path]);
      await ffmpeg(["-i", path, "-f", "f64le", raw]);
      const wanted = await readFile(raw);
      const file = new Blob([await readFile(path)]);
      const wav = await openWav(file);
      assert.equal(wav.frames, wanted.length / 16);
      let at = 0;
      for await (const channels of wavBlocks(file, wav)) {
        assert.equal(channels.length, 2);
        for (let i = 0; i < channels[0].length; i++, at += 16) {
          for (const [c, samples] of channels.entries()) {
            const sample = wanted.readDoubleLE(at + 8 * c);
            assert.ok(Math.abs(samples[i] - sample) < 1e-6, `${samples[i]} is not ${sample}`);
          }
        }
      }
      assert.equal(at, wanted.length);
    });
  }

  test("formats of the tests are all read", () => {
    assert.deepEqual(
      Object.keys(FORMATS).filter((format) => !format.startsWith("wav")).sort(),
      Object.keys(rates).sort(),
    );
  });
});

describe("texts", () => {
  test("clock", () => {
    assert.deepEqual([0, 9.96, 75.04, 3725.5].map(clock), ["0:00.0", "0:10.0", "1:15.0", "1:02:05.5"]);
  });

  test("a name in a CSV neither ends its cell nor becomes a formula", () => {
    const spans = [{ startS: 0, endS: 1, levelDb: -20, isSpeech: false, probabilities: [1] }];
    const recording = { name: '=1,"2"', spans, notes: ["noise", "echoes"] };
    const row = timelineCsv(recording, ["calm"]).split("\n")[1];
    assert.equal(row, `"'=1,""2""",0,1,-20,no speech,,noise; echoes`);
  });
});

/** Whatever is lost at the end, nothing is thrown; MPEG-4 may tell everything there. */
function cutAnywhere(bytes) {
  for (let lost = 0; lost < 1500; lost++) {
    readHeader(bytes.subarray(0, lost));
    readHeader(bytes.subarray(0, bytes.length - lost));
  }
}

/** The start of a Matroska file: a segment of unknown length, padding, and one track. */
function matroska(rateHz, sizeBytes, padding, { codec, isCodecLast, audio = [] } = {}) {
  const size = (value) => {
    const bytes = new Uint8Array(sizeBytes);
    bytes[sizeBytes - 1] = value;
    bytes[0] |= 1 << (8 - sizeBytes);
    return [...bytes];
  };
  const element = (id, content) => [...id, ...size(content.length), ...content];
  const rate = Buffer.alloc(8);
  rate.writeDoubleBE(rateHz ?? 0);
  const stated = rateHz === null ? [] : element([0xb5], [...rate]);
  const parts = [element([0x86], codec ?? [...Buffer.from("A_AAC")])];
  parts.push(element([0xe1], [...stated, ...audio]));
  if (isCodecLast) parts.reverse();
  const unknown = [0x01, ...Array(7).fill(0xff)];
  return Uint8Array.from([
    ...element([0x1a, 0x45, 0xdf, 0xa3], []),
    ...[0x18, 0x53, 0x80, 0x67, ...unknown],
    ...element([0xec], Array(padding).fill(0)),
    ...element([0x16, 0x54, 0xae, 0x6b], element([0xae], parts.flat())),
  ]);
}

function float32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(value);
  return [...bytes];
}

/** An MPEG-4 file of one sound description, whose decoder is described by bytes. */
function mp4(config) {
  const descriptor = (kind, content) => Buffer.from([kind, 0x80, content.length, ...content]);
  const decoder = descriptor(4, [...Array(13).fill(0), ...descriptor(5, config)]);
  const whole = descriptor(3, [0, 0, 0, ...decoder]);
  const entry = Buffer.alloc(28);
  entry.writeUInt16BE(48_000, 24); // stated, and not believed
  return mp4Entry(Buffer.concat([entry, box("esds", Buffer.alloc(4), whole)]));
}

function mp4Entry(entry) {
  const table = box("stsd", Buffer.alloc(8), box("mp4a", entry));
  const track = ["stbl", "minf", "mdia", "trak", "moov"].reduce((inner, name) => box(name, inner), table);
  return Buffer.concat([box("ftyp", Buffer.from("isom\0\0\0\0", "latin1")), track]);
}

function box(name, ...content) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.reduce((sum, part) => sum + part.length, 0));
  head.write(name, 4, "latin1");
  return Buffer.concat([head, ...content]);
}
