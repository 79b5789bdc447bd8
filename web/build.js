/** Writes `dist/`: the page, the runtime, the models and the examples. */
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { readMetadata } from "./src/metadata.js";

const WEB = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(WEB, "src");
const DIST = join(WEB, "dist");
const SHIPPED = join(WEB, "..", "inference_tests"); // models and clips
const EXAMPLE_ENDING = "_emodb.wav"; // after the class
const RUNTIME = join(WEB, "node_modules", "@litertjs", "core", "wasm");
const RUNTIMES = { fast: "litert_wasm_internal", compatible: "litert_wasm_compat_internal" };
// Half the download of float32; its probabilities differ from those by at most 0.002.
const FIRST_PRECISION = "float16";
const TARGETS = ["chrome111", "firefox114", "safari16.4"];

await rm(DIST, { recursive: true, force: true });
const catalog = {
  runtimes: await writeRuntimes(),
  models: await writeModels(),
  examples: await writeExamples(),
};
await writePage(catalog);
await mkdir(join(DIST, "licences"));
await copyFile(
  join(WEB, "licences", "Apache-2.0.txt"),
  join(DIST, "licences", "Apache-2.0.txt"),
);
await copyFile(join(WEB, "..", "LICENSE"), join(DIST, "licences", "MIT.txt"));
console.log(`written to ${DIST}`);

/** Few servers compress such files by themselves; the page unpacks them. */
async function writePacked(folder, name, content) {
  const packed = gzipSync(content, { level: constants.Z_BEST_COMPRESSION });
  const path = `${folder}/${name}.packed`;
  await mkdir(join(DIST, folder), { recursive: true });
  await writeFile(join(DIST, path), packed);
  return { path, bytes: packed.length };
}

async function writeRuntimes() {
  const written = {};
  for (const [kind, name] of Object.entries(RUNTIMES)) {
    const code = await writePacked("runtime", `${name}.wasm`, await readFile(join(RUNTIME, `${name}.wasm`)));
    const glue = `runtime/${name}.js`;
    const script = await readFile(join(RUNTIME, `${name}.js`), "utf8");
    const { code: small } = await transform(script, { minify: true, legalComments: "inline" });
    await writeFile(join(DIST, glue), small);
    written[kind] = { ...code, glue };
  }
  return written;
}

/** The models that take audio, the first one for the start first. */
async function writeModels() {
  const models = [];
  for (const file of (await readdir(SHIPPED)).sort()) {
    if (!file.endsWith(".tflite")) continue;
    const content = await readFile(join(SHIPPED, file));
    if (!file.includes("_fuse_")) continue;
    const { precision, voices } = readMetadata(content);
    const recipe = voices ? ", any device" : ""; // the others are as published
    models.push({ file, precision, recipe, ...(await writePacked("models", file, content)) });
  }
  if (models.length === 0) throw new Error(`${SHIPPED}: holds no model that takes audio`);
  const ranks = ({ recipe, precision, bytes }) => [!recipe, precision !== FIRST_PRECISION, -bytes];
  return models.sort((a, b) => compare(ranks(a), ranks(b)));
}

/** Order two lists by their first values that differ. */
function compare(first, other) {
  const at = first.findIndex((value, i) => value !== other[i]);
  return at < 0 ? 0 : first[at] < other[at] ? -1 : 1;
}

async function writeExamples() {
  const files = (await readdir(SHIPPED)).filter((file) => file.endsWith(EXAMPLE_ENDING)).sort();
  await mkdir(join(DIST, "examples"));
  return Promise.all(
    files.map(async (file) => {
      await copyFile(join(SHIPPED, file), join(DIST, "examples", file));
      return { file, path: `examples/${file}`, name: file.replace(EXAMPLE_ENDING, "") };
    }),
  );
}

async function writePage(catalog) {
  const common = {
    bundle: true,
    minify: true,
    target: TARGETS,
    outdir: DIST,
    define: { CATALOG: JSON.stringify(catalog) },
    legalComments: "linked",
    logLevel: "warning",
  };
  const entries = (...names) => names.map((name) => join(SOURCE, name));
  await build({ ...common, format: "esm", entryPoints: entries("app.js", "recorder.js") });
  // A worker that starts from a blob, and the runtime's loader, take classic scripts only.
  await build({ ...common, format: "iife", entryPoints: entries("worker.js") });
  await build({ ...common, entryPoints: entries("style.css") });
  for (const file of ["index.html", "icon.svg"]) await copyFile(join(SOURCE, file), join(DIST, file));
}
