/** Reference answers: the command line of this project, run on the same files. */
import { execFile } from "node:child_process";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const PYTHON = process.env.PYTHON ?? join(PROJECT, ".venv", "bin", "python");
const run = promisify(execFile);

/**
 * What the command line answers.
 *
 * @param {string[]} files Their paths.
 * @param {{model: string, options: string[]}} how A model of `inference_tests/`, and
 *   more options.
 * @returns {Promise<Map<string, object>>} The JSON object of each file, by base name.
 */
export async function reference(files, { model, options = [] }) {
  const { files: answers } = JSON.parse(
    await commandLine(["-fn", ...files, "--model", model, "--json", ...options]),
  );
  return new Map(answers.map((answer) => [basename(answer.file), answer]));
}

/** Standard output of the command line. */
export async function commandLine(words) {
  const script = join(PROJECT, "inference_single_file.py");
  const { stdout } = await run(PYTHON, [script, ...words], {
    cwd: PROJECT,
    maxBuffer: 64 * 2 ** 20,
  });
  return stdout;
}

/** Run ffmpeg, the one that comes with this project's requirements. */
export async function ffmpeg(words) {
  ffmpeg.program ??= run(PYTHON, ["-c", "import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())"]);
  const { stdout } = await ffmpeg.program;
  await run(stdout.trim(), ["-v", "error", "-nostdin", "-y", ...words]);
}
