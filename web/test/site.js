/** The built page, served by Python under a sub-path, in a real browser. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { temporaryFolder } from "./clips.js";
import { PROJECT, PYTHON } from "./python.js";

const DIST = join(PROJECT, "web", "dist");
const SUB_PATH = "some/where";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const PATIENCE_MS = 90_000; // the machine may be busy with other things

/** Start server and browser; call `close` at the end. */
export async function openSite({ args = [] } = {}) {
  if (!existsSync(join(DIST, "index.html"))) throw new Error("build the page first: make web");
  const folder = await temporaryFolder();
  await mkdir(join(folder.path, "some"));
  await symlink(DIST, join(folder.path, SUB_PATH));
  const port = await freePort();
  const words = ["-m", "http.server", String(port), "--bind", "127.0.0.1", "-d", folder.path];
  const server = spawn(PYTHON, words, { stdio: "ignore" });
  const origin = `http://127.0.0.1:${port}`;
  const address = `${origin}/${SUB_PATH}/`;
  await answers(address);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  return {
    origin,
    address,
    browser,
    async close() {
      await browser.close();
      server.kill();
      await folder.remove();
    },
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(address) {
  for (const end = Date.now() + PATIENCE_MS; ; ) {
    try {
      if ((await fetch(address)).ok) return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A page of the site, and what a person can do there. */
export class Visit {
  /** What the browser complained about, and requests that left the origin. */
  complaints = [];

  static async start(site, options = {}) {
    const { before, isReady = true, ...contextOptions } = options;
    const visit = new Visit();
    visit.context = await site.browser.newContext(contextOptions);
    visit.page = await visit.context.newPage();
    visit.page.setDefaultTimeout(PATIENCE_MS);
    visit.#listen(site.origin);
    await before?.(visit.page);
    await visit.page.goto(site.address);
    if (isReady) await visit.says(/^Ready/);
    return visit;
  }

  #listen(origin) {
    const { complaints } = this;
    this.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    this.page.on("pageerror", (error) => complaints.push(String(error)));
    // Requests of the context are those of its workers, too.
    this.context.on("request", (request) => {
      const url = request.url();
      const isOwn = url.startsWith(`${origin}/`) || url.startsWith(`blob:${origin}/`);
      if (!isOwn) complaints.push(`asked for ${url}`);
    });
  }

  /** Wait until the status line says something; refusals end the wait, too. */
  async says(pattern) {
    const handle = await this.page.waitForFunction(
      ([source, flags]) => {
        const text = (id) => document.getElementById(id).textContent;
        if (text("refusal")) return { refusal: text("refusal") };
        return new RegExp(source, flags).test(text("status")) && { status: text("status") };
      },
      [pattern.source, pattern.flags],
      { polling: 20 },
    );
    const { status, refusal } = await handle.jsonValue();
    if (refusal) throw new Error(`refused: ${refusal}`);
    return status;
  }

  /** Wait for a line that says why something is refused. */
  async refusal() {
    await this.page.waitForFunction(() => document.getElementById("refusal").textContent);
    return this.page.textContent("#refusal");
  }

  /** Choose a file and wait for the answer. */
  async hear(path, name = path.split("/").at(-1)) {
    await this.page.setInputFiles("#file", path);
    const literal = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    await this.says(new RegExp(`^${literal}: .* \\d+ %$`));
    return this.answer();
  }

  /** The probabilities that are shown, by class; all digits. */
  async answer() {
    const pairs = await this.page.$$eval("#bars li", (items) =>
      items.map((item) => [
        item.querySelector(".name").textContent.replaceAll(" ", "_"),
        Number(item.querySelector("data").value),
      ]),
    );
    return Object.fromEntries(pairs);
  }

  /** Text of the file that a button saves. */
  async saved(button) {
    const [download] = await Promise.all([
      this.page.waitForEvent("download"),
      this.page.click(button),
    ]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
  }

  async useModel(file) {
    await this.page.selectOption("#model", file);
    await this.says(/^The model is now|: .* \d+ %$/);
    await this.page.waitForFunction(() => !document.getElementById("model").disabled);
  }

  close() {
    return this.context.close();
  }
}

/** Largest difference between two answers, each by class. */
export function difference(one, other) {
  const names = Object.keys(other);
  if (Object.keys(one).join() !== names.join()) return Infinity;
  return Math.max(...names.map((name) => Math.abs(one[name] - other[name])));
}

export function bestClass(answer) {
  return Object.keys(answer).reduce((best, name) => (answer[name] > answer[best] ? name : best));
}
