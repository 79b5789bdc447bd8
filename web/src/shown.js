/** Answer and timeline of one recording. */
import { AnswerView } from "./answer-view.js";
import { coloursOf } from "./colours.js";
import { byId, dot, element } from "./dom.js";
import { page } from "./page.js";
import { oneLine } from "./refusal.js";
import { middle, nearest, Timeline } from "./timeline.js";
import { heardSamples } from "./windows.js";
import { bestOf, clock, percent, spoken } from "./words.js";

export const answer = new AnswerView();
export const timeline = new Timeline(byId("canvas"));

/** Prepare for the classes of a model. */
export function showClasses({ classes, front_end: frontEnd }) {
  page.colours = coloursOf(classes);
  answer.use(classes, page.colours);
  byId("legend").replaceChildren(
    ...classes.map((name) => element("li", {}, [dot(page.colours.get(name)), spoken(name)])),
  );
  byId("window-text").textContent = `${frontEnd.duration_s} s`;
}

/** Nothing is shown any more. */
export function forget() {
  page.recording = null;
  byId("timeline").hidden = true;
  byId("parts").hidden = true;
  byId("audio").pause();
  answer.clear();
}

export function openTimeline(name, isPlayable) {
  byId("timeline").hidden = false;
  byId("timeline-name").textContent = oneLine(name);
  byId("play").hidden = !isPlayable;
  if (isPlayable) {
    URL.revokeObjectURL(byId("audio").src);
    byId("audio").src = URL.createObjectURL(page.recording.file);
  }
  redraw();
}

export function redraw() {
  const { viewStartS, viewEndS, spans, envelope, cursorS } = page.recording;
  const { classes } = page.engine.metadata;
  timeline.show({ viewStartS, viewEndS, spans, envelope, cursorS, classes, colours: page.colours });
  const track = byId("track");
  track.ariaValueMax = String(Math.round(viewEndS));
  track.ariaValueNow = String(Math.round(cursorS ?? 0));
  track.ariaValueText = cursorS === null ? "no position chosen" : cursorText(cursorS);
  byId("clock").textContent = `${clock(cursorS ?? 0)} / ${clock(viewEndS)}`;
}

function cursorText(timeS) {
  const { spans } = page.recording;
  const { isSpeech, probabilities } = spans[nearest(spans, timeS)];
  if (!isSpeech) return `${clock(timeS)}, no speech`;
  const best = bestOf(probabilities);
  return `${clock(timeS)}, ${spoken(page.engine.metadata.classes[best])} ${percent(probabilities[best])}`;
}

/** Show the answer for the middle, the whole file, or the cursor. */
export function choosePart(part) {
  byId(`part-${part}`).checked = true;
  const { centre, mean, spans, cursorS, durationS } = page.recording;
  if (part === "cursor") {
    const span = spans[nearest(spans, cursorS ?? 0)];
    const source = `From ${clock(span.startS)} to ${clock(span.endS)}`;
    answer.show(span.isSpeech ? span.probabilities : null, source);
  } else if (part === "whole") {
    const spokenSpans = spans.filter((span) => span.isSpeech).length;
    answer.show(mean, `Mean of the ${spokenSpans} windows with speech, of ${spans.length}`);
  } else {
    const { front_end: frontEnd, segment_mode: mode } = page.engine.metadata;
    const { duration_s: segmentS, sample_rate_hz: rateHz } = frontEnd;
    const heardS = Number((heardSamples(segmentS * rateHz, mode) / rateHz).toPrecision(3));
    answer.show(centre, durationS > heardS ? `The middle ${heardS} s` : "The whole recording");
  }
}

/** Move the cursor, and the sound with it. */
export function moveTo(timeS, isPlaying = false) {
  const { recording } = page;
  if (!recording?.spans.length || recording.isLive) return;
  recording.cursorS = Math.min(recording.viewEndS, Math.max(recording.viewStartS, timeS));
  if (!isPlaying && recording.file) byId("audio").currentTime = recording.cursorS;
  choosePart("cursor");
  redraw();
}

byId("parts").addEventListener("change", ({ target }) => {
  choosePart(target.value);
  const { cursorS, spans } = page.recording;
  if (target.value === "cursor" && cursorS === null) moveTo(middle(spans[0]));
});
