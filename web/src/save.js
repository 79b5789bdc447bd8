/** A timeline as CSV and JSON, in the form of the command line. */
import { bestOf } from "./words.js";

const NO_SPEECH = "no speech";

/**
 * @param {object} recording `name`, `spans`, `mean`, `durationS`, `bandwidthHz`, `notes`.
 * @param {string[]} classes
 * @returns {string} A row for each window.
 */
export function timelineCsv({ name, spans, notes }, classes) {
  const doubts = notes.join("; ");
  const rows = spans.map((span) => {
    const times = [name, span.startS, span.endS, rounded(span.levelDb)];
    if (!span.isSpeech) return [...times, NO_SPEECH, ...classes.map(() => ""), doubts];
    return [...times, classes[bestOf(span.probabilities)], ...span.probabilities, doubts];
  });
  const heads = ["file", "start_s", "end_s", "level_db", "class", ...classes, "notes"];
  return [heads, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value) {
  // A spreadsheet would run a text that starts like a formula.
  const text = typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One JSON object; see `timelineCsv`. */
export function timelineJson(recording, classes, modelName) {
  const byClass = (shares) => Object.fromEntries(classes.map((name, i) => [name, shares[i]]));
  const windows = recording.spans.map((span) => ({
    start_s: span.startS,
    end_s: span.endS,
    level_db: rounded(span.levelDb),
    class: span.isSpeech ? classes[bestOf(span.probabilities)] : null,
    probabilities: span.isSpeech ? byClass(span.probabilities) : null,
  }));
  const { name, mean, durationS, bandwidthHz, notes } = recording;
  const isHeard = recording.spans.some((span) => span.isSpeech);
  const file = {
    file: name,
    class: isHeard ? classes[bestOf(mean)] : null,
    probabilities: isHeard ? byClass(mean) : null,
    duration_s: durationS,
    bandwidth_hz: bandwidthHz,
    notes,
    windows,
  };
  return `${JSON.stringify({ model: modelName, classes, files: [file], refused: [] }, null, 2)}\n`;
}

function rounded(levelDb) {
  return Math.round(levelDb * 100) / 100;
}

/** Give the user a file; nothing leaves the device. */
export function download(text, type, fileName) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: fileName });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
