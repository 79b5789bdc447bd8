/** Recordings to test with, in many formats. They lie in a temporary folder. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ffmpeg, PROJECT } from "./python.js";

export const SHIPPED = join(PROJECT, "inference_tests"); // models and clips

/** Options of ffmpeg for each format, after the ending. */
export const FORMATS = {
  "wav-float32": ["wav", "-c:a", "pcm_f32le"],
  "wav-int16": ["wav", "-c:a", "pcm_s16le"],
  flac: ["flac", "-c:a", "flac", "-sample_fmt", "s16"],
  "wav-float32-44k": ["wav", "-c:a", "pcm_f32le", "-ar", "44100"],
  "wav-int16-48k-stereo": ["wav", "-c:a", "pcm_s16le", "-ar", "48000", "-ac", "2"],
  "flac-22k": ["flac", "-c:a", "flac", "-sample_fmt", "s16", "-ar", "22050"],
  mp3: ["mp3", "-c:a", "libmp3lame", "-b:a", "128k", "-ar", "44100"],
  ogg: ["ogg", "-c:a", "libvorbis", "-q:a", "6", "-ar", "44100"],
  m4a: ["m4a", "-c:a", "aac", "-b:a", "128k", "-ar", "48000"],
  opus: ["opus", "-c:a", "libopus", "-b:a", "64k", "-ar", "48000"],
};

const UNCHANGED = ["wav-float32", "wav-int16", "flac"]; // still 16 kHz, and nothing lost

/** Largest difference of a probability from the command line's: 25 times what was measured, or more. */
export const toleranceOf = (format) => (UNCHANGED.includes(format) ? 1e-5 : 1e-4);

/** A folder of one test's own; call `remove` at its end. */
export async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), "light-sernet-web-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The examples of the page, by class: anger, anxiety_fear, boredom, disgust and so on. */
export async function exampleClips() {
  const names = (await readdir(SHIPPED)).filter((name) => name.endsWith("_emodb.wav"));
  return names.sort().map((name) => join(SHIPPED, name));
}

/** Recordings spread over EMO-DB; none if the corpus is not there. */
export async function corpusClips(count) {
  const folder = join(process.env.SER_CORPORA ?? "", "EMO-DB", "wav");
  if (!process.env.SER_CORPORA || !existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => name.endsWith(".wav")).sort();
  return Array.from({ length: count }, (_, i) =>
    join(folder, names[Math.floor(((i + 0.5) * names.length) / count)]),
  );
}

export const NO_CORPUS = "SER_CORPORA does not name the folder that holds EMO-DB";

/** A clip in another format; the path of the copy. */
export async function encoded(clip, format, folder) {
  const [ending, ...options] = FORMATS[format];
  const copy = join(folder, `${basename(clip, ".wav")}.${format}.${ending}`);
  await ffmpeg(["-i", clip, ...options, copy]);
  return copy;
}

/** Clips one after another, with a pause after each. */
export async function joined(clips, path, { options = [], pauseS = 0.5 } = {}) {
  const inputs = clips.flatMap((clip) => ["-i", clip]);
  const padded = clips.map((_, i) => `[${i}:a]apad=pad_dur=${pauseS}[p${i}];`).join("");
  const order = clips.map((_, i) => `[p${i}]`).join("");
  const filter = `${padded}${order}concat=n=${clips.length}:v=0:a=1[out]`;
  await ffmpeg([...inputs, "-filter_complex", filter, "-map", "[out]", ...options, path]);
  return path;
}
