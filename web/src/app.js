/** The page: what each button does, and what is shown when. */
import { AnswerView } from "./answer-view.js";
import { meanOfSpeech } from "./classify.js";
import { coloursOf } from "./colours.js";
import { byId, dot, element } from "./dom.js";
import { Engine, Superseded } from "./engine.js";
import { readMetadata } from "./metadata.js";
import { Microphone } from "./microphone.js";
import { showModel } from "./model-view.js";
import { classifyFile } from "./recording.js";
import { oneLine, Refusal } from "./refusal.js";
import { address, catalog, fetchFile, runtimeFiles } from "./runtime.js";
import { download, timelineCsv, timelineJson } from "./save.js";
import { middle, nearest, Timeline } from "./timeline.js";
import { bestOf, clock, megabytes, percent, spoken } from "./words.js";

const LIVE_VIEW_S = 30; // how much of live sound is visible
const LIVE_SPANS_KEPT = 7200; // an hour
const MAX_MODEL_BYTES = 64 * 2 ** 20;
const QUIETEST_DB = -60; // left end of the level meter
const OWN = "own"; // value of the user's own model in the list

const answer = new AnswerView();
const timeline = new Timeline(byId("canvas"));

let runtime = null; // the compiled runtime, and its script
let engine = null;
let ownModel = null; // { name, file }, once the user has given one
let modelName = catalog.models[0].file; // of the model that answers
let chosenModel = modelName; // its value in the list
let recording = null; // what the timeline shows
let microphone = null;
let colours = new Map();

// ---------------------------------------------------------------- messages

function say(text) {
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

/** Progress of loading or listening, or the level of the microphone; 0 to 1. */
function showMeter(share) {
  byId("meter").style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
}

function refuse(text) {
  byId("refusal").textContent = text;
}

/** Tell why something failed; a fault of the page itself goes to the console, too. */
function explain(error, name) {
  if (error instanceof Superseded) return;
  say("");
  const text = oneLine(error.message);
  if (error instanceof Refusal) return refuse(name ? `${oneLine(name)}: ${text}.` : text);
  console.error(error);
  refuse(`Something went wrong in this page (${text}). Load the page again.`);
}

// ---------------------------------------------------------------- models

async function loadRuntime(onBytes) {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function") {
    throw new Refusal("This browser is too old for this page. Use a newer one.");
  }
  const { path, glue } = await runtimeFiles();
  const code = await fetchFile(path, onBytes);
  return { module: await WebAssembly.compile(code), glueUrl: address(glue) };
}

/** Put a model to work; the one before stays if this one is refused. */
async function useModel(file, bytes) {
  const metadata = readMetadata(file);
  const next = new Engine(address("worker.js"), metadata);
  await next.load(runtime.module, runtime.glueUrl, file);
  engine?.end();
  engine = next;
  colours = coloursOf(metadata.classes);
  answer.use(metadata.classes, colours);
  showModel(metadata, bytes);
  showLegend(metadata.classes);
  byId("window-text").textContent = `${metadata.front_end.duration_s} s`;
}

async function start() {
  const [first] = catalog.models;
  const { bytes: runtimeBytes } = await runtimeFiles();
  const all = runtimeBytes + first.bytes;
  let loaded = 0;
  const onBytes = (bytes) => {
    loaded += bytes;
    showMeter(loaded / all);
  };
  say(`Loading the network (${megabytes(all)}) …`);
  const [started, model] = await Promise.all([loadRuntime(onBytes), fetchFile(first.path, onBytes)]);
  runtime = started;
  await useModel(model, model.length);
  fillModelList();
  enable(true);
  showMeter(0);
  say("Ready. Press Listen, or choose a file.");
}

function fillModelList() {
  const options = catalog.models.map(({ file, precision, bytes }) =>
    element("option", { value: file, textContent: `${precision} (${megabytes(bytes)})` }),
  );
  if (ownModel) options.push(element("option", { value: OWN, textContent: oneLine(ownModel.name) }));
  const chosen = byId("model").value;
  byId("model").replaceChildren(...options);
  if (chosen) byId("model").value = chosen;
}

function enable(isOn) {
  const ids = ["listen", "choose", "model", "choose-model"];
  for (const id of ids) byId(id).disabled = !isOn;
  for (const button of byId("examples").querySelectorAll("button")) button.disabled = !isOn;
}

/** Change the model, then ask it about the same file; false if it is refused. */
async function changeModel(name, read) {
  stopListening();
  refuse("");
  say(`Loading ${oneLine(name)} …`);
  enable(false);
  try {
    const file = await read();
    await useModel(file, file.length);
  } catch (error) {
    explain(error, name);
    return false;
  } finally {
    enable(true);
  }
  modelName = name;
  say(`The model is now ${oneLine(name)}.`);
  if (recording?.file) hear(recording.file, recording.name);
  else forget();
  return true;
}

byId("model").addEventListener("change", async () => {
  const { value } = byId("model");
  const listed = catalog.models.find(({ file }) => file === value);
  const isChanged = await changeModel(listed ? listed.file : ownModel.name, async () =>
    listed ? fetchFile(listed.path) : ownModel.file,
  );
  if (!isChanged) byId("model").value = chosenModel;
  chosenModel = byId("model").value;
  byId("model").focus(); // it was lost while the list was disabled
});

async function useOwnModel(blob) {
  let file;
  const isChanged = await changeModel(blob.name, async () => {
    if (blob.size > MAX_MODEL_BYTES) {
      throw new Refusal(`a model may have at most ${megabytes(MAX_MODEL_BYTES)}`);
    }
    return (file = new Uint8Array(await blob.arrayBuffer()));
  });
  if (!isChanged) return;
  ownModel = { name: blob.name, file };
  fillModelList();
  byId("model").value = chosenModel = OWN;
}

// ---------------------------------------------------------------- files

/** Classify a file and show its timeline. */
async function hear(file, name) {
  stopListening();
  refuse("");
  say(`Listening to ${oneLine(name)} …`);
  forget();
  const own = (recording = { file, name, spans: [], part: null, cursorS: null });
  try {
    const result = await classifyFile(engine, file, (share) => {
      if (recording === own) showMeter(share);
    });
    if (recording === own) showRecording(Object.assign(own, result));
  } catch (error) {
    if (recording !== own) return;
    recording = null;
    explain(error, name);
  } finally {
    if (recording === own || recording === null) showMeter(0);
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
  const best = bestOf(centre ?? mean);
  say(
    `${oneLine(name)}: ${spoken(engine.metadata.classes[best])}, ${percent((centre ?? mean)[best])}`,
  );
}

/** Nothing is shown any more. */
function forget() {
  recording = null;
  byId("timeline").hidden = true;
  byId("parts").hidden = true;
  stopPlaying();
  answer.clear();
}

// ---------------------------------------------------------------- timeline

function openTimeline(name, isPlayable) {
  byId("timeline").hidden = false;
  byId("timeline-name").textContent = oneLine(name);
  byId("play").hidden = !isPlayable;
  if (isPlayable) {
    URL.revokeObjectURL(byId("audio").src);
    byId("audio").src = URL.createObjectURL(recording.file);
  }
  redraw();
}

function redraw() {
  const { viewStartS, viewEndS, spans, envelope, cursorS } = recording;
  const { classes } = engine.metadata;
  timeline.show({ viewStartS, viewEndS, spans, envelope, cursorS, classes, colours });
  const track = byId("track");
  track.ariaValueMax = String(Math.round(viewEndS));
  track.ariaValueNow = String(Math.round(cursorS ?? 0));
  track.ariaValueText = cursorS === null ? "no position chosen" : cursorText(cursorS);
  byId("clock").textContent = `${clock(cursorS ?? 0)} / ${clock(viewEndS)}`;
}

function cursorText(timeS) {
  const span = recording.spans[nearest(recording.spans, timeS)];
  if (!span.isSpeech) return `${clock(timeS)}, no speech`;
  const best = bestOf(span.probabilities);
  return `${clock(timeS)}, ${spoken(engine.metadata.classes[best])} ${percent(span.probabilities[best])}`;
}

function showLegend(classes) {
  byId("legend").replaceChildren(
    ...classes.map((name) => element("li", {}, [dot(colours.get(name)), spoken(name)])),
  );
}

/** Show the answer for the middle, the whole file, or the cursor. */
function choosePart(part) {
  recording.part = part;
  byId(`part-${part}`).checked = true;
  const { centre, mean, spans, cursorS, durationS } = recording;
  if (part === "cursor") {
    const span = spans[nearest(spans, cursorS ?? 0)];
    const source = `From ${clock(span.startS)} to ${clock(span.endS)}`;
    answer.show(span.isSpeech ? span.probabilities : null, source);
  } else if (part === "whole") {
    const spokenSpans = spans.filter((span) => span.isSpeech).length;
    answer.show(mean, `Mean of the ${spokenSpans} windows with speech, of ${spans.length}`);
  } else {
    const { duration_s: segmentS } = engine.metadata.front_end;
    answer.show(centre, durationS > segmentS ? `The middle ${segmentS} s` : "The whole recording");
  }
}

/** Move the cursor, and the sound with it. */
function moveTo(timeS, isPlaying = false) {
  if (!recording?.spans.length || recording.isLive) return;
  recording.cursorS = Math.min(recording.viewEndS, Math.max(recording.viewStartS, timeS));
  if (!isPlaying && recording.file) byId("audio").currentTime = recording.cursorS;
  choosePart("cursor");
  redraw();
}

const KEYS = {
  ArrowLeft: (at) => at - 1,
  ArrowDown: (at) => at - 1,
  ArrowRight: (at) => at + 1,
  ArrowUp: (at) => at + 1,
  PageDown: (at) => at - 10,
  PageUp: (at) => at + 10,
  Home: () => 0,
  End: (_, last) => last,
};

byId("track").addEventListener("keydown", (event) => {
  if (!recording || recording.isLive) return;
  if (event.key === " " && recording.file) {
    event.preventDefault();
    return byId("play").click();
  }
  const move = KEYS[event.key];
  if (!move) return;
  event.preventDefault();
  const { spans, cursorS } = recording;
  // The first key only shows where the cursor starts.
  const at = cursorS === null ? null : nearest(spans, cursorS);
  const last = spans.length - 1;
  const next = at === null && event.key !== "End" ? 0 : move(at, last);
  moveTo(middle(spans[Math.min(last, Math.max(0, next))]));
});

byId("track").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  moveTo(timeline.timeAt(event.clientX));
  byId("track").setPointerCapture(event.pointerId);
});

byId("track").addEventListener("pointermove", (event) => {
  if (byId("track").hasPointerCapture(event.pointerId)) moveTo(timeline.timeAt(event.clientX));
});

byId("parts").addEventListener("change", ({ target }) => {
  choosePart(target.value);
  if (target.value === "cursor" && recording.cursorS === null) moveTo(middle(recording.spans[0]));
});

// ---------------------------------------------------------------- playing

function stopPlaying() {
  byId("audio").pause();
}

byId("play").addEventListener("click", async () => {
  const audio = byId("audio");
  if (!audio.paused) return audio.pause();
  try {
    await audio.play();
  } catch (error) {
    // A pause that comes before the first sound is no fault.
    if (error.name !== "AbortError") refuse("This browser cannot play this file.");
  }
});

byId("audio").addEventListener("play", () => {
  showPlaying(true);
  const follow = () => {
    const audio = byId("audio");
    if (audio.paused || !recording) return;
    moveTo(audio.currentTime, true);
    requestAnimationFrame(follow);
  };
  requestAnimationFrame(follow);
});
byId("audio").addEventListener("pause", () => showPlaying(false));

function showPlaying(isPlaying) {
  byId("play").textContent = isPlaying ? "Pause" : "Play";
  byId("play").ariaPressed = String(isPlaying);
}

// ---------------------------------------------------------------- live

byId("listen").addEventListener("click", async () => {
  if (microphone) return stopListening();
  refuse("");
  say("Waiting for the microphone …");
  byId("listen").disabled = true;
  try {
    microphone = await Microphone.open(address("recorder.js"), () => {
      stopListening();
      refuse("The microphone is gone. Connect it, then press Listen again.");
    });
    listen();
  } catch (error) {
    explain(error);
  } finally {
    byId("listen").disabled = false;
  }
});

function listen() {
  forget();
  const { duration_s: segmentS } = engine.metadata.front_end;
  const extremes = [];
  const stepS = 2048 / microphone.rateHz; // a block of the recorder
  const own = (recording = {
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
  engine.listen(port1, microphone.rateHz, (progress) => {
    if (recording !== own) return;
    if (progress.failed) {
      stopListening();
      return explain(new Error(progress.failed));
    }
    if (progress.span) showLive(own, progress);
    else showLevel(own, progress.level);
  });
  microphone.sendTo(port2);
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
  const name = span.isSpeech ? spoken(engine.metadata.classes[bestOf(span.probabilities)]) : "no speech";
  answer.show(
    span.isSpeech ? span.probabilities : null,
    `The last ${engine.metadata.front_end.duration_s} s`,
  );
  answer.showNotes([
    ...notes,
    ...(skipped ? [`This device is slow: ${skipped} windows were left out.`] : []),
  ]);
  // A screen reader hears a class when it changes, not twice a second.
  say(`Listening: ${name}`);
}

function stopListening() {
  if (!microphone) return;
  microphone.close();
  microphone = null;
  engine.stop();
  showListening(false);
  showMeter(0);
  const { spans } = recording;
  if (spans.length === 0) {
    forget();
    return say("Stopped before the first answer.");
  }
  recording.isLive = false;
  recording.viewStartS = 0;
  recording.viewEndS = recording.durationS = recording.heardS;
  recording.mean = meanOfSpeech(spans, engine.metadata.classes.length);
  say("Stopped. The timeline shows what was heard.");
  redraw();
}

function showListening(isListening) {
  byId("sound").classList.toggle("listening", isListening);
  byId("listen").ariaPressed = String(isListening);
  byId("listen-text").textContent = isListening ? "Stop" : "Listen";
}

// ---------------------------------------------------------------- giving and saving files

byId("choose").addEventListener("click", () => byId("file").click());
byId("choose-model").addEventListener("click", () => byId("model-file").click());
for (const id of ["file", "model-file"]) {
  byId(id).addEventListener("change", () => {
    const [file] = byId(id).files;
    byId(id).value = ""; // the same file can be chosen again
    if (file) take(file);
  });
}

/** A model or a recording; its content tells. */
async function take(file) {
  refuse("");
  say(`Reading ${oneLine(file.name)} …`);
  const head = new Uint8Array(await file.slice(4, 8).arrayBuffer().catch(() => new ArrayBuffer(0)));
  const isModel = String.fromCharCode(...head) === "TFL3" || file.name.endsWith(".tflite");
  return isModel ? useOwnModel(file) : hear(file, file.name);
}

let inside = 0; // elements of the page that a dragged file is over
addEventListener("dragenter", (event) => {
  if (event.dataTransfer?.types.includes("Files")) byId("drop").classList.toggle("active", ++inside > 0);
});
addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  byId("drop").classList.toggle("active", inside > 0);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  byId("drop").classList.remove("active");
  const [file] = event.dataTransfer.files;
  if (file && !byId("choose").disabled) take(file);
});

for (const { path, file, name } of catalog.examples) {
  const button = element("button", { type: "button", textContent: spoken(name), disabled: true });
  button.addEventListener("click", async () => {
    try {
      await hear(new Blob([await fetchFile(path)], { type: "audio/wav" }), file);
    } catch (error) {
      explain(error);
    }
  });
  byId("examples").append(button);
}

byId("save-csv").addEventListener("click", () => {
  download(timelineCsv(recording, engine.metadata.classes), "text/csv", saveName("csv"));
});
byId("save-json").addEventListener("click", () => {
  const text = timelineJson(recording, engine.metadata.classes, modelName);
  download(text, "application/json", saveName("json"));
});

function saveName(ending) {
  return `${recording.name.replace(/\.[^.]*$/, "")}_timeline.${ending}`;
}

start().catch((error) => explain(error));
