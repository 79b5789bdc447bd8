/** By keyboard, with a screen reader, on a phone, in the dark, in an older browser. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exampleClips, joined, temporaryFolder } from "./clips.js";
import { difference, openSite, Visit } from "./site.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const SERIOUS = ["serious", "critical"];

let site, folder, long;

before(async () => {
  [site, folder] = [await openSite(), await temporaryFolder()];
  long = await joined(await exampleClips(), join(folder.path, "talk.wav"));
});

after(async () => {
  await site.close();
  await folder.remove();
});

/** Faults that axe-core calls serious or critical. */
async function faults(page) {
  // Through the debugger, which the page's own policy does not bind.
  await page.evaluate(await readFile(AXE, "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter(({ impact }) => SERIOUS.includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(", ")}`);
}

for (const [look, options] of Object.entries({
  "desktop, light": { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  "desktop, dark": { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  "phone, light": { ...PHONE, colorScheme: "light" },
  "phone, dark": { ...PHONE, colorScheme: "dark" },
})) {
  test(`no serious fault: ${look}`, async () => {
    const visit = await Visit.start(site, options);
    assert.deepEqual(await faults(visit.page), []);
    await visit.hear(long);
    assert.deepEqual(await faults(visit.page), []);
    await visit.page.setInputFiles("#file", { name: "no.wav", mimeType: "audio/wav", buffer: Buffer.from("no sound") });
    await visit.refusal();
    assert.deepEqual(await faults(visit.page), []);
    assert.deepEqual(visit.complaints, []);
    await visit.close();
  });
}

test("a phone in portrait: nothing sticks out, buttons fit a thumb", async () => {
  const visit = await Visit.start(site, PHONE);
  await visit.hear(long);
  const { width, small } = await visit.page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    small: [...document.querySelectorAll("button, select")]
      .filter((item) => item.offsetParent && item.getBoundingClientRect().height < 40)
      .map((item) => item.textContent),
  }));
  assert.equal(width, PHONE.viewport.width);
  assert.deepEqual(small, []);
  await visit.page.locator("#track").tap({ position: { x: 200, y: 50 } });
  assert.match(await visit.page.getAttribute("#track", "aria-valuetext"), /%$|no speech$/);
  await visit.close();
});

test("by keyboard alone: an example, the timeline, the parts, a file, a model", async () => {
  const visit = await Visit.start(site);
  const { page } = visit;
  const { keyboard } = page;
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const tabTo = async (wanted) => {
    for (let i = 0; i < 40; i++) {
      await keyboard.press("Tab");
      if ((await focused()) === wanted) return;
    }
    assert.fail(`the Tab key never came to ${wanted}`);
  };
  await keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await tabTo("anger");
  await keyboard.press("Enter");
  await visit.says(/^anger_emodb\.wav: anger, \d+ %$/);
  await tabTo("track");
  await keyboard.press("ArrowRight");
  assert.match(await page.getAttribute("#track", "aria-valuetext"), /anger \d+ %$/);

  await page.focus("body");
  await page.evaluate(() => document.activeElement.blur());
  const choosing = page.waitForEvent("filechooser"); // early: to intercept it takes a moment
  await tabTo("choose");
  await keyboard.press("Enter");
  await (await choosing).setFiles(long);
  await visit.says(/^talk\.wav: /);
  await tabTo("part-middle");
  await keyboard.press("ArrowDown");
  assert.equal(await page.isChecked("#part-whole"), true);

  await tabTo("model");
  await keyboard.press("ArrowDown");
  await visit.says(/^talk\.wav: /);
  assert.match(await page.textContent("#facts"), /float32/);
  assert.deepEqual(visit.complaints, []);
  await visit.close();
});

test("a screen reader is told the answer, and what is refused", async () => {
  const visit = await Visit.start(site);
  const { page } = visit;
  assert.equal(await page.getAttribute("#status", "role"), "status");
  assert.equal(await page.getAttribute("#refusal", "role"), "alert");
  await visit.hear(long);
  assert.match(await page.textContent("#status"), /^talk\.wav: [a-z ]+, \d+ %$/);
  assert.equal(await page.getAttribute("#track", "role"), "slider");
  assert.ok(await page.getAttribute("#track", "aria-label"));
  await visit.close();
});

test("a browser without the newest instructions gets the compatible runtime", async () => {
  const asked = [];
  const visit = await Visit.start(site, {
    before: async (page) => {
      page.on("request", (request) => asked.push(request.url()));
      // The probe for the newer instructions is the only such small program.
      await page.addInitScript(() => {
        const instantiate = WebAssembly.instantiate.bind(WebAssembly);
        WebAssembly.instantiate = (code, ...rest) =>
          code.byteLength < 200 ? Promise.reject(new Error("too old")) : instantiate(code, ...rest);
      });
    },
  });
  assert.ok(asked.some((url) => url.includes("compat_internal.wasm")));
  assert.ok(!asked.some((url) => url.includes("/litert_wasm_internal.wasm")));
  const [clip] = await exampleClips();
  const compatible = await visit.hear(clip);
  const fast = await Visit.start(site);
  assert.ok(difference(compatible, await fast.hear(clip)) < 1e-4);
  assert.deepEqual(visit.complaints, []);
  await Promise.all([visit.close(), fast.close()]);
});

test("a browser that cannot run the network says so in one line", async () => {
  const visit = await Visit.start(site, {
    isReady: false,
    before: (page) => page.addInitScript(() => delete window.DecompressionStream),
  });
  assert.match(await visit.refusal(), /too old/);
  await visit.close();
});
