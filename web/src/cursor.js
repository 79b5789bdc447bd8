/** The timeline's cursor: keys, pointer and the playing sound move it. */
import { byId } from "./dom.js";
import { refuse } from "./messages.js";
import { page } from "./page.js";
import { moveTo, timeline } from "./shown.js";
import { middle, nearest } from "./timeline.js";

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
  const { recording } = page;
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
    if (audio.paused || !page.recording) return;
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
