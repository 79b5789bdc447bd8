/** The microphone: a fake one that plays a file. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { exampleClips, joined, temporaryFolder } from "./clips.js";
import { reference } from "./python.js";
import { bestClass, openSite, Visit } from "./site.js";

describe("a fake microphone that plays a file", () => {
  let site, visit, folder, path;

  before(async () => {
    folder = await temporaryFolder();
    const [anger] = await exampleClips();
    // Many times the same clip: each window of 3 s sounds like anger, whatever its start.
    path = await joined(Array(12).fill(anger), join(folder.path, "voice.wav"), {
      options: ["-ar", "48000", "-c:a", "pcm_s16le"],
    });
    site = await openSite({
      args: [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        `--use-file-for-fake-audio-capture=${path}`,
        "--autoplay-policy=no-user-gesture-required",
      ],
    });
    visit = await Visit.start(site);
  });

  after(async () => {
    await site.close();
    await folder.remove();
  });

  test("the file's classes are answered, and a timeline remains", async () => {
    const { page } = visit;
    const model = await page.inputValue("#model");
    const name = "voice.wav";
    const options = ["--windows", "--hop", "0.5"];
    const { windows } = (await reference([path], { model, options })).get(name);
    const classes = new Set(windows.map((window) => window.class));

    await page.click("#listen");
    await visit.says(/^Listening: (?!no speech)/);
    assert.equal(await page.getAttribute("#listen", "aria-pressed"), "true");
    await page.waitForTimeout(4000);
    const shown = bestClass(await visit.answer());
    assert.ok(classes.has(shown), `${shown} is none of ${[...classes]}`);

    await page.click("#listen");
    await visit.says(/^Stopped\. The timeline/);
    const { files } = JSON.parse((await visit.saved("#save-json")).text);
    assert.equal(files[0].file, "microphone");
    const heard = files[0].windows.filter((window) => window.class);
    assert.ok(heard.length > 0);
    for (const window of heard) assert.ok(classes.has(window.class), window.class);
    console.log(`microphone: ${heard.length} windows, classes ${[...new Set(heard.map((w) => w.class))]}`);
    assert.deepEqual(visit.complaints, []);
  });

  test("a model that is changed while permission is awaited", async () => {
    const late = await Visit.start(site, {
      before: (page) =>
        page.addInitScript(() => {
          const { mediaDevices } = navigator;
          const ask = mediaDevices.getUserMedia.bind(mediaDevices);
          const permission = new Promise((resolve) => (window.permit = resolve));
          mediaDevices.getUserMedia = async (wish) => (await permission, ask(wish));
        }),
    });
    const { page } = late;
    const another = await page.$eval("#model", (list) => list.options[1].value);
    let arrive;
    const isWanted = new Promise((resolve) => (arrive = resolve));
    await page.route(`**/${another}*`, async (route) => (await isWanted, route.continue()));
    await page.click("#listen");
    await page.selectOption("#model", another);
    await page.evaluate(() => window.permit());
    await late.says(/^Listening/);
    arrive();
    await late.says(/^The model is now/);
    assert.equal(await page.getAttribute("#listen", "aria-pressed"), "false");
    await page.click("#listen");
    await late.says(/^Listening: /);
    await page.click("#listen");
    assert.deepEqual(late.complaints, []);
    await late.close();
  });

  test("nothing changes the microphone's sound on its way", async () => {
    const asked = await Visit.start(site, {
      before: (page) =>
        page.addInitScript(() => {
          const { mediaDevices } = navigator;
          const ask = mediaDevices.getUserMedia.bind(mediaDevices);
          mediaDevices.getUserMedia = async (wish) => {
            const stream = await ask(wish);
            window.settings = stream.getAudioTracks()[0].getSettings();
            return stream;
          };
        }),
    });
    await asked.page.click("#listen");
    await asked.page.waitForFunction(() => window.settings);
    const settings = await asked.page.evaluate(() => window.settings);
    assert.equal(settings.echoCancellation, false);
    assert.equal(settings.noiseSuppression, false);
    assert.equal(settings.autoGainControl, false);
    await asked.close();
  });
});

describe("no microphone", () => {
  let site;

  before(async () => {
    site = await openSite();
  });
  after(() => site.close());

  for (const [name, sentence] of [
    ["NotAllowedError", /blocked/],
    ["NotFoundError", /No microphone was found/],
    ["NotReadableError", /Another program/],
  ]) {
    test(`${name} is told in plain words`, async () => {
      const visit = await Visit.start(site, {
        before: (page) =>
          page.addInitScript((reason) => {
            navigator.mediaDevices.getUserMedia = async () => {
              throw new DOMException("refused", reason);
            };
          }, name),
      });
      await visit.page.click("#listen");
      assert.match(await visit.refusal(), sentence);
      assert.equal(await visit.page.textContent("#listen-text"), "Listen");
      assert.equal(await visit.page.isEnabled("#listen"), true);
      assert.deepEqual(visit.complaints, []);
      await visit.close();
    });
  }

  test("a page that may not have a microphone says so", async () => {
    const visit = await Visit.start(site, {
      before: (page) =>
        page.addInitScript(() =>
          Object.defineProperty(navigator, "mediaDevices", { value: undefined }),
        ),
    });
    await visit.page.click("#listen");
    assert.match(await visit.refusal(), /https/);
    await visit.close();
  });
});
