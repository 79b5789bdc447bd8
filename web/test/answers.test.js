/** The page answers as the command line does, whatever the format. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  corpusClips, demoClips, encoded, FORMATS, MODELS, NO_CORPUS, temporaryFolder, TOLERANCE,
} from "./clips.js";
import { reference } from "./python.js";
import { bestClass, difference, openSite, Visit } from "./site.js";

const CORPUS_FILES = 24;
const SIX_FORMATS = ["wav-int16", "flac", "mp3", "ogg", "m4a", "opus"];

let site, visit, folder, models;

before(async () => {
  [site, folder] = [await openSite(), await temporaryFolder()];
  visit = await Visit.start(site);
  models = (await readdir(MODELS)).filter((name) => /_fuse_.*\.tflite$/.test(name)).sort();
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

describe("float32", () => {
  before(() => visit.useModel(modelOf("float32")));

  for (const format of Object.keys(FORMATS)) {
    test(`four demo clips as ${format}`, async () => {
      const files = await copies(await demoClips(), format);
      await compare(files, modelOf("float32"), TOLERANCE[format], `demo, ${format}`);
    });

    test(`four recordings of EMO-DB as ${format}`, async (t) => {
      const clips = await corpusClips(4);
      if (clips.length === 0) return t.skip(NO_CORPUS);
      const files = await copies(clips, format);
      await compare(files, modelOf("float32"), TOLERANCE[format], `EMO-DB, ${format}`);
    });
  }

  for (const format of SIX_FORMATS) {
    test(`no class changes in ${CORPUS_FILES} recordings of EMO-DB as ${format}`, async (t) => {
      const clips = await corpusClips(CORPUS_FILES);
      if (clips.length === 0) return t.skip(NO_CORPUS);
      const files = await copies(clips, format);
      await compare(files, modelOf("float32"), TOLERANCE[format], `24 of EMO-DB, ${format}`);
    });
  }
});

for (const precision of ["float16", "int8"]) {
  test(`four demo clips with ${precision}`, async () => {
    await visit.useModel(modelOf(precision));
    // Rounding to 8 bits turns a last bit into a whole step of a few thousandths.
    const tolerance = precision === "int8" ? 2e-2 : 1e-3;
    await compare(await demoClips(), modelOf(precision), tolerance, `demo, ${precision}`);
  });
}

test("the whole utterance with the recipe new_voice, whose scale is the second input", async () => {
  const model = models.find((name) => name.includes("_mode2_") && name.includes("fuse_float32"));
  await visit.useModel(model);
  const clips = await corpusClips(CORPUS_FILES);
  await compare([...(await demoClips()), ...clips], model, 1e-4, "new_voice");
});

async function copies(clips, format) {
  const made = [];
  for (const clip of clips) made.push(await encoded(clip, format, folder.path));
  return made;
}
