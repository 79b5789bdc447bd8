/** A file: classify it and show its timeline. */
import { byId } from "./dom.js";
import { stopListening } from "./listening.js";
import { explain, refuse, say, showMeter } from "./messages.js";
import { page } from "./page.js";
import { classifyFile } from "./recording.js";
import { oneLine } from "./refusal.js";
import { answer, choosePart, forget, openTimeline } from "./shown.js";
import { bestOf, percent, spoken } from "./words.js";

/**
 * @param {Blob} file Any sound or video.
 * @param {string} name For the reader; the page also saves under it.
 */
export async function hear(file, name) {
  page.requests++;
  stopListening();
  refuse("");
  say(`Listening to ${oneLine(name)} …`);
  forget();
  const own = (page.recording = { file, name, spans: [], cursorS: null });
  try {
    const result = await classifyFile(page.engine, file, (share) => {
      if (page.recording === own) showMeter(share);
    });
    if (page.recording === own) showRecording(Object.assign(own, result));
  } catch (error) {
    if (page.recording !== own) return;
    page.recording = null;
    explain(error, name);
  } finally {
    if (page.recording === own || page.recording === null) showMeter(0);
  }
}

function showRecording(shown) {
  const { name, spans, durationS, envelope, centre, mean, notes } = shown;
  shown.envelope = { stepS: (2 * durationS) / envelope.length, extremes: envelope };
  shown.viewStartS = 0;
  shown.viewEndS = durationS;
  openTimeline(name, true);
  byId("parts").hidden = spans.length < 2;
  byId("part-middle").disabled = centre === null;
  choosePart(centre === null ? "whole" : "middle");
  answer.showNotes(notes);
  const shares = centre ?? mean;
  const best = bestOf(shares);
  say(`${oneLine(name)}: ${spoken(page.engine.metadata.classes[best])}, ${percent(shares[best])}`);
}
