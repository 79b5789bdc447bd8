/** A long recording: the timeline, its cursor, its files, and how long it takes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { corpusClips, encoded, exampleClips, joined, NO_CORPUS, temporaryFolder } from "./clips.js";
import { commandLine, reference } from "./python.js";
import { difference, openSite, Visit } from "./site.js";

const LONG_S = 60;
const HOP = ["--windows", "--hop", "0.5"];

let site, visit, folder, model;

before(async () => {
  [site, folder] = [await openSite(), await temporaryFolder()];
  visit = await Visit.start(site);
  model = await visit.page.inputValue("#model");
});

after(async () => {
  assert.deepEqual(visit.complaints, []);
  await site.close();
  await folder.remove();
});

/** The same windows, levels and answers, in the saved JSON and CSV. */
async function compareTimeline(path, tolerance, label) {
  const name = path.split("/").at(-1);
  const expected = (await reference([path], { model, options: HOP })).get(name);
  await visit.hear(path);
  const { files, classes, ...rest } = JSON.parse((await visit.saved("#save-json")).text);
  const [file] = files;
  assert.deepEqual(Object.keys(rest), ["model", "refused"]);
  assert.equal(rest.model, model);
  assert.equal(file.file, name);
  assert.equal(file.duration_s, expected.duration_s);
  assert.equal(file.windows.length, expected.windows.length);
  let largest = difference(file.probabilities, expected.probabilities);
  file.windows.forEach((window, i) => {
    const theirs = expected.windows[i];
    assert.deepEqual([window.start_s, window.end_s], [theirs.start_s, theirs.end_s]);
    assert.ok(Math.abs(window.level_db - theirs.level_db) <= 0.05, `level at ${window.start_s} s`);
    assert.equal(window.probabilities === null, theirs.probabilities === null);
    if (window.probabilities === null) return;
    largest = Math.max(largest, difference(window.probabilities, theirs.probabilities));
  });
  console.log(`${label}: ${file.windows.length} windows, largest difference ${largest.toExponential(1)}`);
  assert.ok(largest <= tolerance, `${label}: ${largest}`);
  return { file, classes };
}

test(`the timeline of ${LONG_S} s of EMO-DB is the command line's`, async (t) => {
  const clips = await corpusClips(24);
  if (clips.length === 0) return t.skip(NO_CORPUS);
  const options = ["-t", String(LONG_S), "-ar", "44100", "-c:a", "pcm_s16le"];
  const path = await joined(clips, join(folder.path, "long.wav"), { options });
  // It is resampled, and some windows hold two recordings: those react strongly.
  await compareTimeline(path, 5e-3, `EMO-DB, ${LONG_S} s`);
});

test("the timeline of the examples, a pause after each, is the command line's", async () => {
  const path = await joined(await exampleClips(), join(folder.path, "examples.wav"), { pauseS: 4 });
  const { file, classes } = await compareTimeline(path, 1e-5, "examples");
  assert.ok(file.windows.some((window) => window.class === null), "no window without speech");

  const csv = await visit.saved("#save-csv");
  assert.equal(csv.name, "examples_timeline.csv");
  const [heads, ...rows] = csv.text.trimEnd().split("\n").map((row) => row.split(","));
  const theirs = await commandLine(["-fn", path, "--model", model, "--csv", ...HOP]);
  assert.deepEqual(heads, theirs.split("\n")[0].split(","));
  assert.equal(rows.length, file.windows.length);
  assert.deepEqual(heads.slice(5), [...classes, "notes"]);
});

test("a click and the arrow keys show the answer at the cursor", async () => {
  const { page } = visit;
  const [clip] = await exampleClips();
  const path = await joined(Array(6).fill(clip), join(folder.path, "six.wav"));
  await visit.hear(path);
  const { files } = JSON.parse((await visit.saved("#save-json")).text);
  const { windows, duration_s: durationS } = files[0];
  const at = (i) => (windows[i].start_s + windows[i].end_s) / 2;

  const { width } = await page.locator("#track").boundingBox();
  await page.click("#track", { position: { x: (at(3) / durationS) * width, y: 40 } });
  assert.ok(difference(await visit.answer(), windows[3].probabilities) < 1e-9);
  assert.equal(await page.isChecked("#part-cursor"), true);

  await page.focus("#track");
  await page.keyboard.press("ArrowRight");
  assert.ok(difference(await visit.answer(), windows[4].probabilities) < 1e-9);
  await page.keyboard.press("End");
  assert.ok(difference(await visit.answer(), windows.at(-1).probabilities) < 1e-9);
  await page.keyboard.press("Home");
  const value = await page.getAttribute("#track", "aria-valuetext");
  assert.match(value, /^0:01\.5, \S+.* \d+ %$/);

  await page.check("#part-whole");
  assert.ok(difference(await visit.answer(), files[0].probabilities) < 1e-9);
});

test("the file plays, the cursor follows, and space stops it", async () => {
  const { page } = visit;
  const [, , , disgust] = await exampleClips(); // the longest
  await visit.hear(disgust);
  await page.focus("#track");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.getElementById("audio").currentTime > 0.2);
  const position = await page.getAttribute("#track", "aria-valuetext");
  assert.doesNotMatch(position, /no position/);
  await page.keyboard.press("Space");
  assert.equal(await page.$eval("#audio", (audio) => audio.paused), true);
});

test("a newer file takes over from one that is still read", async () => {
  const { page } = visit;
  const [first, newer] = await exampleClips();
  const long = await joined(Array(40).fill(first), join(folder.path, "forty.wav"));
  await page.setInputFiles("#file", long);
  await page.setInputFiles("#file", newer);
  await visit.says(/^anxiety_fear_emodb\.wav: /);
  assert.equal(await page.textContent("#timeline-name"), "anxiety_fear_emodb.wav");
});

test("a newer file takes over from one that is still decoded", async () => {
  const { page } = visit;
  const [first, newer] = await exampleClips();
  await page.evaluate(() => {
    const decode = OfflineAudioContext.prototype.decodeAudioData;
    window.decoded = false;
    OfflineAudioContext.prototype.decodeAudioData = async function (bytes) {
      const sound = await decode.call(this, bytes);
      await new Promise((resolve) => setTimeout(resolve, 500));
      window.decoded = true;
      return sound;
    };
  });
  await page.setInputFiles("#file", await encoded(first, "mp3", folder.path));
  await page.setInputFiles("#file", await joined(Array(40).fill(newer), join(folder.path, "new.wav")));
  await visit.says(/^new\.wav: /);
  assert.ok(await page.evaluate(() => window.decoded), "it was decoded meanwhile");
  assert.equal(await page.textContent("#timeline-name"), "new.wav");
  await page.reload(); // decodes as before
  await visit.says(/^Ready/);
});

test("first answer after load, measured (in the log)", async () => {
  const VISITS = 10;
  const times = [];
  for (let i = 0; i < VISITS; i++) {
    const fresh = await Visit.start(site, { isReady: false, before: clickWhenReady });
    await fresh.says(/^happiness_emodb\.wav: .* \d+ %$/);
    times.push(await fresh.page.evaluate(readTimes));
    await fresh.close();
  }
  const shown = ["load event", "ready", "answer", "answer after the load event"].map((name) => {
    const sorted = times.map((one) => one[name]).sort((a, b) => a - b);
    const median = (sorted[VISITS / 2 - 1] + sorted[VISITS / 2]) / 2;
    return `${name} ${median.toFixed(0)} (${sorted[0].toFixed(0)} to ${sorted.at(-1).toFixed(0)})`;
  });
  console.log(`${VISITS} visits, ms, median and range: ${shown.join(", ")}`);
  assert.ok(times.every((one) => one["load event"] < one.ready && one.ready < one.answer));
});

/** Clicks an example as soon as the page is ready; marks when each text appears. */
function clickWhenReady(page) {
  return page.addInitScript(() => {
    addEventListener("DOMContentLoaded", () => {
      const status = document.getElementById("status");
      new MutationObserver(() => {
        performance.mark(status.textContent.split(/[.:]/)[0]);
        if (!status.textContent.startsWith("Ready")) return;
        const buttons = [...document.querySelectorAll("#examples button")];
        buttons.find((button) => button.textContent === "happiness").click();
      }).observe(status, { childList: true });
    });
  });
}

/** By the page's own clock, ms since the address was opened. */
function readTimes() {
  const [{ loadEventStart: load }] = performance.getEntriesByType("navigation");
  const [ready, answer] = ["Ready", "happiness_emodb"].map(
    (name) => performance.getEntriesByName(name)[0].startTime,
  );
  return { "load event": load, ready, answer, "answer after the load event": answer - load };
}

test("one segment, measured (in the log)", async () => {
  const [, clip] = await exampleClips();
  const path = await joined(Array(40).fill(clip), join(folder.path, "speed.wav"));
  const rounds = [];
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    await visit.hear(path);
    rounds.push(performance.now() - started);
  }
  const { files } = JSON.parse((await visit.saved("#save-json")).text);
  const segments = files[0].windows.length;
  console.log(
    `best of 3: a segment ${(Math.min(...rounds) / segments).toFixed(1)} ms ` +
      `(${segments} of them, reading and resampling included)`,
  );
  assert.ok(segments > 100);
});
