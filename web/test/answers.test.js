/** The page answers as the command line does, whatever the format. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  corpusClips, encoded, exampleClips, FORMATS, NO_CORPUS, SHIPPED, temporaryFolder, toleranceOf,
} from "./clips.js";
import { ffmpeg, reference } from "./python.js";
import { bestClass, difference, openSite, Visit } from "./site.js";

const CORPUS_FILES = 24;
const SIX_FORMATS = ["wav-int16", "flac", "mp3", "ogg", "m4a", "opus"];

let site, visit, folder, models;

before(async () => {
  [site, folder] = [await openSite(), await temporaryFolder()];
  visit = await Visit.start(site);
  models = (await readdir(SHIPPED)).filter((name) => /_fuse_.*\.tflite$/.test(name)).sort();
});

after(async () => {
  assert.deepEqual(visit.complaints, []);
  await site.close();
  await folder.remove();
});

const modelOf = (precision) => models.find((name) => name.includes(`fuse_${precision}`));

/** Ask page and command line about files; one line in the log for each group. */
async function compare(files, model, tolerance, label) {
  const expected = await reference(files, { model });
  let [largest, changed] = [0, 0];
  for (const file of files) {
    const answer = await visit.hear(file);
    const theirs = expected.get(basename(file));
    largest = Math.max(largest, difference(answer, theirs.probabilities));
    if (bestClass(answer) !== theirs.class) changed++;
    const notes = await visit.page.$$eval("#notes li", (all) => all.map((note) => note.textContent));
    const isTold = (list) => list.filter((note) => note.toLowerCase().startsWith("sound reaches"));
    assert.equal(isTold(notes).length, isTold(theirs.notes).length, `${file}: the upper band`);
  }
  console.log(`${label}: ${files.length} files, largest difference ${largest.toExponential(1)}`);
  assert.ok(largest <= tolerance, `${label}: ${largest} is more than ${tolerance}`);
  assert.equal(changed, 0, `${label}: classes changed`);
}

test("each example is a class, and is answered with it", async () => {
  const { page } = visit;
  const names = await page.locator("#examples button").allTextContents();
  const classes = Object.keys(await visit.answer()).map((name) => name.replaceAll("_", " "));
  assert.deepEqual([...names].sort(), classes.sort());
  for (const name of names) {
    await page.click(`#examples button:text-is("${name}")`);
    await visit.says(new RegExp(`^${name.replaceAll(" ", "_")}_emodb\\.wav: ${name}, \\d+ %$`));
  }
});

describe("float32", () => {
  before(() => visit.useModel(modelOf("float32")));

  test("16 bits in other containers, and as telephone codes", async () => {
    const clips = await exampleClips();
    const ways = [
      ["mka", ["-c:a", "flac", "-sample_fmt", "s16"], 1e-5],
      ["mp4", ["-c:a", "flac", "-sample_fmt", "s16"], 1e-5],
      ["mulaw.wav", ["-c:a", "pcm_mulaw", "-ar", "8000"], 5e-3], // an empty band is sensitive
      ["alaw.wav", ["-c:a", "pcm_alaw", "-ar", "8000"], 5e-3],
    ];
    for (const [ending, options, tolerance] of ways) {
      const files = clips.slice(0, 3).map((clip) => join(folder.path, `${basename(clip)}.${ending}`));
      for (const [i, file] of files.entries()) await ffmpeg(["-i", clips[i], ...options, file]);
      await compare(files, modelOf("float32"), tolerance, ending);
    }
  });

  for (const format of Object.keys(FORMATS)) {
    test(`the seven examples as ${format}`, async () => {
      const files = await copies(await exampleClips(), format);
      await compare(files, modelOf("float32"), toleranceOf(format), `examples, ${format}`);
    });

    test(`four recordings of EMO-DB as ${format}`, async (t) => {
      const clips = await corpusClips(4);
      if (clips.length === 0) return t.skip(NO_CORPUS);
      const files = await copies(clips, format);
      await compare(files, modelOf("float32"), toleranceOf(format), `EMO-DB, ${format}`);
    });
  }

  for (const format of SIX_FORMATS) {
    test(`no class changes in ${CORPUS_FILES} recordings of EMO-DB as ${format}`, async (t) => {
      const clips = await corpusClips(CORPUS_FILES);
      if (clips.length === 0) return t.skip(NO_CORPUS);
      const files = await copies(clips, format);
      await compare(files, modelOf("float32"), toleranceOf(format), `24 of EMO-DB, ${format}`);
    });
  }
});

for (const precision of ["float16", "int8"]) {
  test(`the seven examples with ${precision}`, async () => {
    await visit.useModel(modelOf(precision));
    // Rounding to 8 bits may turn a last bit into a whole step of 1/256.
    const tolerance = precision === "int8" ? 5e-3 : 1e-5;
    await compare(await exampleClips(), modelOf(precision), tolerance, `examples, ${precision}`);
  });
}

test("the whole utterance with the recipe any_device, whose scale is the second input", async () => {
  const model = models.find((name) => name.includes("_mode2_") && name.includes("fuse_float32"));
  await visit.useModel(model);
  const clips = await corpusClips(CORPUS_FILES);
  await compare([...(await exampleClips()), ...clips], model, 1e-4, "any_device");
});

async function copies(clips, format) {
  const made = [];
  for (const clip of clips) made.push(await encoded(clip, format, folder.path));
  return made;
}
