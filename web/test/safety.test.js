/** What is given to the page can do no harm, and is refused in one plain line. */
import assert from "node:assert/strict";
import { copyFile, readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { exampleClips, SHIPPED, temporaryFolder } from "./clips.js";
import { parts, writeModel } from "./models.js";
import { ffmpeg, reference } from "./python.js";
import { difference, openSite, Visit } from "./site.js";

let site, visit, folder, fused;

before(async () => {
  [site, folder] = [await openSite(), await temporaryFolder()];
  visit = await Visit.start(site);
  fused = (await readdir(SHIPPED)).sort().find((name) => name.includes("_fuse_float16"));
});

after(async () => {
  assert.deepEqual(visit.complaints, []);
  await site.close();
  await folder.remove();
});

const path = (name) => join(folder.path, name);

/** One line that names the file, and a page that still answers. */
async function isRefused(file, pattern, input = "#file") {
  const { page } = visit;
  await page.setInputFiles(input, file);
  const line = await visit.refusal();
  assert.match(line, pattern);
  assert.ok(line.startsWith(`${file.split("/").at(-1)}: `), line);
  assert.doesNotMatch(line, /\n|went wrong|undefined|\[object/);
  const [clip] = await exampleClips();
  await visit.hear(clip);
  assert.equal(await page.textContent("#refusal"), "");
}

describe("bad recordings", () => {
  test("an empty file", async () => {
    await writeFile(path("empty.wav"), "");
    await isRefused(path("empty.wav"), /empty/);
  });

  test("a text", async () => {
    await writeFile(path("letter.mp3"), "Dear reader, ".repeat(1000));
    await isRefused(path("letter.mp3"), /cannot read/);
  });

  test("a page that would run a script", async () => {
    await writeFile(path("evil.html"), "<script>fetch('http://example.com')</script>");
    await isRefused(path("evil.html"), /cannot read/);
  });

  test("a name that would be a tag is shown as text", async () => {
    const name = "<img src=x onerror=alert(1)>.wav";
    await visit.page.setInputFiles("#file", { name, mimeType: "audio/wav", buffer: Buffer.from("no") });
    const line = await visit.refusal();
    assert.ok(line.includes("<img"), line);
    assert.equal(await visit.page.locator("img").count(), 0);
  });

  test("a cut WAV", async () => {
    const [clip] = await exampleClips();
    const whole = await readFile(clip);
    await writeFile(path("cut.wav"), whole.subarray(0, whole.length / 2));
    await isRefused(path("cut.wav"), /cut off/);
  });

  test("silence", async () => {
    await ffmpeg(["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "4", path("silence.wav")]);
    await isRefused(path("silence.wav"), /silent throughout/);
  });

  test("less than a frame", async () => {
    await ffmpeg(["-f", "lavfi", "-i", "sine=f=300:r=16000", "-t", "0.05", path("short.wav")]);
    await isRefused(path("short.wav"), /at least 64 ms; this one lasts 50 ms/);
  });

  test("samples that are no numbers", async () => {
    await ffmpeg(["-f", "lavfi", "-i", "sine=f=300:r=16000", "-t", "1", "-c:a", "pcm_f32le", path("nan.wav")]);
    const bytes = await readFile(path("nan.wav"));
    bytes.writeFloatLE(NaN, bytes.length - 4000);
    await writeFile(path("nan.wav"), bytes);
    await isRefused(path("nan.wav"), /no numbers/);
  });

  for (const rateHz of [16_000, 44_100]) {
    test(`a constant offset at ${rateHz} Hz is silence`, async () => {
      const source = `aevalsrc=0.01:s=${rateHz}:d=2`;
      await ffmpeg(["-f", "lavfi", "-i", source, path("offset.wav")]);
      await isRefused(path("offset.wav"), /silent throughout/);
    });
  }

  test("hours that the browser would have to keep in memory", async () => {
    const silence = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "7400"];
    await ffmpeg([...silence, "-c:a", "flac", path("hours.flac")]);
    await isRefused(path("hours.flac"), /lasts 2\.1 h; the browser can decode 2 h\. Save it as WAV/);
  });

  test("silence before sound that no header measures is no hours", async () => {
    const [clip] = await exampleClips();
    const file = path("silence.aac"); // its first frames are tiny: browsers guess hours
    await ffmpeg(["-i", clip, "-af", "adelay=600000,apad=whole_dur=610", "-c:a", "aac", file]);
    await visit.hear(file);
  });

  test("a header of zeros", async () => {
    const head = Buffer.alloc(4 * 2 ** 20);
    head.write("RIFF\xff\xff\xff\x7fWAVE", "latin1");
    await writeFile(path("zeros.wav"), head);
    await isRefused(path("zeros.wav"), /holds no samples/);
  });

  test("a file that was deleted after it was chosen", async () => {
    const { page } = visit;
    const [clip] = await exampleClips();
    await copyFile(clip, path("gone.wav"));
    await visit.hear(path("gone.wav"));
    await unlink(path("gone.wav"));
    const before = await page.inputValue("#model");
    await page.selectOption("#model", fused); // the page hears the file again
    assert.match(await visit.refusal(), /^gone\.wav: this file can no longer be read/);
    await visit.hear(clip);
    await visit.useModel(before);
  });

  for (const codec of ["truehd", "ac3"]) {
    test(`a codec that the browser lacks: ${codec}`, async () => {
      const [clip] = await exampleClips();
      const file = path(`${codec}.mka`);
      const options = ["-ar", "48000", "-ac", "2", "-c:a", codec, "-strict", "-2"];
      await ffmpeg(["-i", clip, ...options, file]);
      await isRefused(file, /this browser cannot read this file/);
    });
  }
});

test("a note tells of an empty upper band, and of a middle that is silent", async () => {
  const [clip] = await exampleClips();
  await ffmpeg(["-i", clip, "-ar", "8000", path("telephone.wav")]);
  await visit.hear(path("telephone.wav"));
  assert.match(await visit.page.textContent("#notes"), /reaches only \d\.\d kHz.*7\.5 kHz.*unreliable/);

  await visit.useModel(fused); // it hears 3 s
  const filter = "[0:a]apad=pad_dur=8[a];[a][1:a]concat=n=2:v=0:a=1";
  await ffmpeg(["-i", clip, "-i", clip, "-filter_complex", filter, path("hole.wav")]);
  await visit.hear(path("hole.wav"));
  assert.match(await visit.page.textContent("#notes"), /middle 3 s .* silent/);
  assert.equal(await visit.page.isDisabled("#part-middle"), true);
});

describe("channels that cancel each other", () => {
  for (const ending of ["wav", "flac"]) {
    test(`in all of a .${ending}: one is used, and a note tells`, async () => {
      const [clip] = await exampleClips();
      const whole = await visit.hear(clip);
      const file = path(`inverse.${ending}`);
      await ffmpeg(["-i", clip, "-af", "pan=stereo|c0=c0|c1=-1*c0", "-sample_fmt", "s16", file]);
      assert.ok(difference(await visit.hear(file), whole) < 1e-4);
      const notes = await visit.page.textContent("#notes");
      assert.match(notes, /The channels cancel each other: only channel 1 is used\./);
    });
  }

  for (const rateHz of ["16000", "48000"]) {
    test(`in its second half, ${rateHz} Hz: the page and the command line say the same`, async () => {
      const clips = (await exampleClips()).slice(0, 2);
      const file = path(`half${rateHz}.wav`);
      const filter =
        "[0:a]pan=stereo|c0=c0|c1=0.8*c0[a];[1:a]pan=stereo|c0=c0|c1=-1*c0[b];[a][b]concat=v=0:a=1";
      const inputs = clips.flatMap((clip) => ["-i", clip]);
      await ffmpeg([...inputs, "-filter_complex", filter, "-ar", rateHz, file]);
      const shown = await visit.hear(file);
      const model = await visit.page.inputValue("#model");
      const wanted = (await reference([file], { model })).get(`half${rateHz}.wav`);
      assert.ok(difference(shown, wanted.probabilities) < 1e-3); // resampled, float16
      const [, part] = wanted.notes.join(" ").match(/cancel each other( from [\d.]+ to [\d.]+ s: [^.]*)/);
      assert.ok((await visit.page.textContent("#notes")).includes(`cancel each other${part}.`), part);
    });
  }
});

describe("bad models", () => {
  let network, metadata;
  before(async () => ({ network, metadata } = await parts(fused)));

  const refuses = (file, pattern) => isRefused(file, pattern, "#model-file");

  test("no model", async () => {
    await writeFile(path("no.tflite"), "x".repeat(5000));
    await refuses(path("no.tflite"), /not a TensorFlow Lite model/);
  });

  test("a model without a description", async () => {
    await writeFile(path("bare.tflite"), network);
    await refuses(path("bare.tflite"), /no light_sernet\.json/);
  });

  test("one that takes features", async () => {
    const name = (await readdir(SHIPPED)).find((file) => /entropy_float32\.tflite$/.test(file));
    await refuses(join(SHIPPED, name), /takes features/);
  });

  const bad = {
    "not JSON": ["{", /damaged/],
    "another format": [{ format: 99 }, /format 1/],
    "no classes": [(whole) => ({ ...whole, classes: [] }), /classes/],
    "a class twice": [(whole) => ({ ...whole, classes: ["a", "a"] }), /classes/],
    "too few classes": [(whole) => ({ ...whole, classes: ["a", "b"] }), /not what its description says/],
    "a control character": [(whole) => ({ ...whole, classes: ["a\u001b[2J", "b"] }), /classes/],
    "no front-end": [(whole) => ({ ...whole, front_end: null }), /front_end/],
    "a segment of days": [
      (whole) => ({ ...whole, front_end: { ...whole.front_end, duration_s: 1e9 } }),
      /front_end/,
    ],
    "another segment mode": [(whole) => ({ ...whole, segment_mode: 0 }), /segment_mode/],
    "a corpus that is a number": [(whole) => ({ ...whole, corpus: 7 }), /corpus/],
  };
  for (const [what, [description, pattern]] of Object.entries(bad)) {
    test(`a description with ${what}`, async () => {
      const made = typeof description === "function" ? description(metadata) : description;
      const file = await writeModel(path(`${what.replaceAll(" ", "-")}.tflite`), network, made);
      await refuses(file, pattern);
    });
  }

  test("a description that is packed", async () => {
    const file = await writeModel(path("packed.tflite"), network, metadata, { method: 8 });
    await refuses(file, /must not be compressed/);
  });

  test("a network of random bytes under a good description", async () => {
    const noise = Buffer.from(network);
    for (let i = 8; i < noise.length; i++) noise[i] = (i * 2654435761) >>> 13;
    const file = await writeModel(path("noise.tflite"), noise, metadata);
    await refuses(file, /cannot be (loaded|run)|does not answer/);
  });

  test("a network that is cut", async () => {
    const file = await writeModel(path("half.tflite"), network.subarray(0, network.length / 2), metadata);
    await refuses(file, /cannot be (loaded|run)|does not answer/);
  });
});

describe("a model of the user's own", () => {
  test("its answers, classes and scores are shown; the file is asked again", async () => {
    const { page } = visit;
    const { network, metadata } = await parts(fused);
    const [clip] = await exampleClips();
    await visit.useModel(fused);
    const before = Object.values(await visit.hear(clip));
    const own = {
      ...metadata,
      classes: metadata.classes.map((_, i) => `klass ${i}`),
      corpus: { name: "MY VOICES", note: "<b>12 people</b>" },
      new_voice: { ua: { value: 0.758, low: 0.7248, high: 0.7884 }, speakers: 10 },
    };
    const file = await writeModel(path("mine_fuse.tflite"), network, own);
    await page.setInputFiles("#model-file", file);
    await visit.says(/^anger_emodb\.wav: klass \d/);
    const answer = await visit.answer();
    const named = Object.fromEntries(own.classes.map((name, i) => [name.replaceAll(" ", "_"), before[i]]));
    assert.ok(difference(answer, named) < 1e-9);
    const facts = await page.textContent("#facts");
    assert.match(facts, /MY VOICES: <b>12 people<\/b>/);
    assert.match(facts, /76 of 100 \(between 72 and 79\)\. Measured with 10 voices/);
    assert.equal(await page.locator("#facts b").count(), 0);

    await page.selectOption("#model", fused);
    await visit.says(/^anger_emodb\.wav: anger/);
    await page.selectOption("#model", "own");
    await visit.says(/^anger_emodb\.wav: klass \d/);
    await page.selectOption("#model", fused);
    await visit.says(/^anger_emodb\.wav: anger/);
  });

  test("it can be dropped on the page, as a recording can", async () => {
    const { page } = visit;
    const drop = async (file, name) => {
      const bytes = (await readFile(file)).toString("base64");
      await page.evaluate(
        ([encoded, fileName]) => {
          const content = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([content], fileName));
          for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
          }
        },
        [bytes, name],
      );
    };
    const [clip] = await exampleClips();
    await drop(clip, "dropped.wav");
    await visit.says(/^dropped\.wav: anger/);
    await drop(join(SHIPPED, fused), "mine.tflite");
    await visit.says(/^dropped\.wav: anger/);
    assert.equal(await page.locator("#model option:checked").textContent(), "mine.tflite");
    assert.equal(await page.isVisible("#drop"), false);
  });
});

describe("the page itself", () => {
  test("its policy forbids other origins, inline scripts and eval", async () => {
    const policy = await visit.page.getAttribute("meta[http-equiv]", "content");
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|\*/);
    const tried = await visit.page.evaluate(async () => {
      const seen = [];
      document.addEventListener("securitypolicyviolation", (event) => seen.push(event.violatedDirective));
      const outcome = await fetch("http://127.0.0.2:9/").then(() => "sent", () => "blocked");
      const inline = document.createElement("script");
      inline.textContent = "window.ran = true";
      document.body.append(inline);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { outcome, ran: window.ran ?? false, seen };
    });
    assert.equal(tried.outcome, "blocked");
    assert.equal(tried.ran, false);
    assert.deepEqual([...new Set(tried.seen)].sort(), ["connect-src", "script-src-elem"]);
    visit.complaints.length = 0; // the browser tells of both
  });

  test("its worker obeys the same policy", async () => {
    // Without a policy this address, which needs no network, would be answered.
    const outcome = await visit.page.workers()[0].evaluate(() =>
      fetch("data:text/plain,hello").then(() => "answered", () => "blocked"),
    );
    assert.equal(outcome, "blocked");
    visit.complaints.length = 0;
  });

  test("stores nothing", async () => {
    const stored = await visit.page.evaluate(async () => [
      localStorage.length,
      sessionStorage.length,
      document.cookie,
      (await indexedDB.databases()).length,
      (await caches.keys()).length,
    ]);
    assert.deepEqual(stored, [0, 0, "", 0, 0]);
    assert.deepEqual(await visit.context.cookies(), []);
  });

  test("many answers need no more memory", async () => {
    // The worker's script, with a look at the memory of the runtime put before it.
    const spy = `{
      const instantiate = WebAssembly.instantiate;
      WebAssembly.instantiate = async (...all) => {
        const instance = await instantiate(...all);
        self.runtimeMemory = Object.values(instance.exports).find((e) => e instanceof WebAssembly.Memory);
        return instance;
      };
    }`;
    const watched = await Visit.start(site, {
      before: (page) =>
        page.context().route("**/worker.js", async (route) => {
          const response = await route.fetch();
          await route.fulfill({ response, body: spy + (await response.text()) });
        }),
    });
    const bytes = () => watched.page.workers()[0].evaluate(() => self.runtimeMemory.buffer.byteLength);
    const [clip] = await exampleClips();
    await ffmpeg(["-stream_loop", "60", "-i", clip, "-c:a", "pcm_s16le", path("minutes.wav")]);
    await watched.hear(clip);
    const before = await bytes();
    await watched.hear(path("minutes.wav"));
    assert.equal(await bytes(), before);
    await watched.close();
  });
});
