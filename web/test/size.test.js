/** What a visitor downloads for the first answer. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { exampleClips } from "./clips.js";
import { openSite, Visit } from "./site.js";

const MAX_BYTES = 4.5e6;

let site;
before(async () => (site = await openSite()));
after(() => site.close());

test("the page, the runtime and one model are at most 4.5 MB compressed", async () => {
  const urls = new Set();
  const visit = await Visit.start(site, {
    before: (page) =>
      page.context().on("request", (request) => {
        if (request.url().startsWith(site.address)) urls.add(request.url());
      }),
  });
  await visit.hear((await exampleClips())[0]);
  await visit.close();
  let total = 0;
  for (const url of urls) {
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    total += Math.min(bytes.length, gzipSync(bytes).length);
  }
  console.log(`${urls.size} files, ${(total / 1e6).toFixed(2)} MB compressed`);
  assert.ok([...urls].some((url) => url.includes(".wasm")), "no runtime among them");
  assert.ok([...urls].some((url) => url.includes(".tflite")), "no model among them");
  assert.ok([...urls].some((url) => url.endsWith("worker.js")), "no worker among them");
  assert.ok(total <= MAX_BYTES, `${total} bytes`);
});
