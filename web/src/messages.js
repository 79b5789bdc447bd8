/** The status line, the line for refusals, and the meter. */
import { byId } from "./dom.js";
import { Superseded } from "./engine.js";
import { forReader, oneLine, Refusal } from "./refusal.js";

export function say(text) {
  // A screen reader would read the same text again.
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

/** Show why something cannot be done; an empty text removes the line. */
export function refuse(text) {
  byId("refusal").textContent = text;
}

/** Tell why something failed; a fault of the page itself goes to the console, too. */
export function explain(error, name) {
  if (error instanceof Superseded) return;
  say("");
  const told = forReader(error);
  const text = oneLine(told.message);
  if (told instanceof Refusal) return refuse(name ? `${oneLine(name)}: ${text}.` : text);
  console.error(error);
  refuse(`Something went wrong in this page (${text}). Load the page again.`);
}

/** Progress of loading or listening, or the level of the microphone; 0 to 1. */
export function showMeter(share) {
  byId("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
}
