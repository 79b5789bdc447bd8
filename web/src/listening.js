/** The microphone: answers as the sound comes, then a timeline of it. */
import { meanOfSpeech } from "./classify.js";
import { byId } from "./dom.js";
import { explain, refuse, say, showMeter } from "./messages.js";
import { Microphone } from "./microphone.js";
import { page } from "./page.js";
import { address } from "./runtime.js";
import { answer, forget, openTimeline, redraw } from "./shown.js";
import { bestOf, spoken } from "./words.js";

const LIVE_VIEW_S = 30; // how much of live sound is visible
const LIVE_SPANS_KEPT = 7200; // an hour
const QUIETEST_DB = -60; // left end of the level meter

byId("listen").addEventListener("click", async () => {
  if (page.microphone) return stopListening();
  page.requests++;
  refuse("");
  say("Waiting for the microphone …");
  byId("listen").disabled = true;
  try {
    const opened = await Microphone.open(address("recorder.js"), () => {
      stopListening();
      refuse("The microphone is gone. Connect it, then press Listen again.");
    });
    stopListening(); // if it was asked for twice
    page.microphone = opened;
    listen();
  } catch (error) {
    explain(error);
  } finally {
    byId("listen").disabled = false;
  }
});

function listen() {
  forget();
  const { duration_s: segmentS } = page.engine.metadata.front_end;
  const extremes = [];
  const stepS = 2048 / page.microphone.rateHz; // a block of the recorder
  const own = (page.recording = {
    name: "microphone",
    isLive: true,
    spans: [],
    notes: [],
    cursorS: null,
    bandwidthHz: null,
    viewStartS: 0,
    viewEndS: LIVE_VIEW_S,
    envelope: { stepS, extremes },
  });
  showListening(true);
  openTimeline("Microphone", false);
  say(`Listening. The first answer comes after ${segmentS} s.`);
  const { port1, port2 } = new MessageChannel();
  const onProgress = (progress) => {
    if (page.recording !== own) return;
    if (progress.failed) {
      stopListening();
      return explain(new Error(progress.failed));
    }
    if (progress.span) showLive(own, progress);
    else showLevel(own, progress.level);
  };
  page.engine.listen(port1, page.microphone.rateHz, onProgress).catch(explain);
  page.microphone.sendTo(port2);
}

function showLevel(own, level) {
  const peak = Math.min(1, 2 * 10 ** (level / 20));
  own.envelope.extremes.push(-peak, peak);
  showMeter(1 - level / QUIETEST_DB);
  own.heardS = (own.envelope.extremes.length / 2) * own.envelope.stepS;
  own.viewEndS = Math.max(LIVE_VIEW_S, own.heardS);
  own.viewStartS = own.viewEndS - LIVE_VIEW_S;
  redraw();
}

function showLive(own, { span, notes, skipped }) {
  own.spans.push(span);
  if (own.spans.length > LIVE_SPANS_KEPT) own.spans.shift();
  own.notes = notes;
  const { classes, front_end: frontEnd } = page.engine.metadata;
  const name = span.isSpeech ? spoken(classes[bestOf(span.probabilities)]) : "no speech";
  answer.show(span.isSpeech ? span.probabilities : null, `The last ${frontEnd.duration_s} s`);
  answer.showNotes([
    ...notes,
    ...(skipped ? [`This device is slow: ${skipped} windows were left out.`] : []),
  ]);
  // A screen reader hears a class when it changes, not twice a second.
  say(`Listening: ${name}`);
}

/** Stop; what was heard remains as a timeline. */
export function stopListening() {
  if (!page.microphone) return;
  page.microphone.close();
  page.microphone = null;
  page.engine.stop().catch(explain);
  showListening(false);
  showMeter(0);
  const { recording } = page;
  if (recording.spans.length === 0) {
    forget();
    return say("Stopped before the first answer.");
  }
  recording.isLive = false;
  recording.viewStartS = 0;
  recording.viewEndS = recording.durationS = recording.heardS;
  recording.mean = meanOfSpeech(recording.spans, page.engine.metadata.classes.length);
  say("Stopped. The timeline shows what was heard.");
  redraw();
}

function showListening(isListening) {
  byId("sound").classList.toggle("listening", isListening);
  byId("listen").ariaPressed = String(isListening);
  byId("listen-text").textContent = isListening ? "Stop" : "Listen";
}
