/** A recording as a picture: its waveform in the colours of the classes, and a cursor. */
import { inkOn } from "./colours.js";
import { bestOf, clock, spoken } from "./words.js";

const RIBBON = 26; // CSS pixels
const AXIS = 22;
const TICKS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
const TICK_WIDTH = 70;
const FONT = "13px system-ui, sans-serif";

/** The window whose middle is nearest to a time. */
export function nearest(spans, timeS) {
  let best = 0;
  spans.forEach((span, i) => {
    if (Math.abs(middle(span) - timeS) < Math.abs(middle(spans[best]) - timeS)) best = i;
  });
  return best;
}

export function middle(span) {
  return (span.startS + span.endS) / 2;
}

export class Timeline {
  #canvas;
  #frame = 0;
  #shown = null;

  /** @param {HTMLCanvasElement} canvas Fills its parent. */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#redraw()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /**
   * @param {object} shown `viewStartS` and `viewEndS`: what is visible; `spans`; `classes`;
   *   `colours`; `envelope`: `stepS` and `extremes`, two for each step, from 0 s on;
   *   `cursorS`: null for none.
   */
  show(shown) {
    this.#shown = { ...this.#shown, ...shown };
    this.#redraw();
  }

  /** The time under a pointer, s. */
  timeAt(clientX) {
    const { left, width } = this.#canvas.getBoundingClientRect();
    const { viewStartS, viewEndS } = this.#shown;
    const share = Math.min(1, Math.max(0, (clientX - left) / width));
    return viewStartS + share * (viewEndS - viewStartS);
  }

  #redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    if (!this.#shown || width === 0) return;
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const brush = this.#canvas.getContext("2d");
    brush.scale(scale, scale);
    brush.font = FONT;
    const style = getComputedStyle(this.#canvas);
    const plot = {
      brush,
      width,
      height,
      ink: style.getPropertyValue("--ink"),
      soft: style.getPropertyValue("--soft"),
      pale: style.getPropertyValue("--line"),
      card: style.getPropertyValue("--card"),
      x: (timeS) => {
        const { viewStartS, viewEndS } = this.#shown;
        return ((timeS - viewStartS) / (viewEndS - viewStartS)) * width;
      },
      ...this.#shown,
    };
    const runs = runsOf(plot);
    drawWaveform(plot, runs);
    drawRibbon(plot, runs);
    drawAxis(plot);
    if (plot.cursorS !== null) drawCursor(plot);
  }
}

/** Stretches of one class: from half-way between two windows' middles to the next. */
function runsOf({ spans, classes, colours, pale, viewEndS }) {
  const runs = [];
  spans.forEach((span, i) => {
    const name = span.isSpeech ? classes[bestOf(span.probabilities)] : null;
    const startS = i === 0 ? span.startS : (middle(spans[i - 1]) + middle(span)) / 2;
    const isLast = i === spans.length - 1;
    const endS = isLast ? Math.min(span.endS, viewEndS) : (middle(span) + middle(spans[i + 1])) / 2;
    const last = runs.at(-1);
    if (last?.name === name) last.endS = endS;
    else runs.push({ name, startS, endS, colour: name ? colours.get(name) : pale });
  });
  return runs;
}

function drawWaveform({ brush, width, height, x, envelope, viewStartS, viewEndS, pale }, runs) {
  const centre = (height - RIBBON - AXIS) / 2;
  const { stepS, extremes } = envelope;
  const steps = extremes.length / 2;
  const peak = Math.max(0.02, ...sampled(extremes, viewStartS, viewEndS, stepS));
  const columns = Math.floor(width / 3);
  let run = 0;
  for (let i = 0; i < columns; i++) {
    const [startS, endS] = [i, i + 1].map((at) => viewStartS + ((viewEndS - viewStartS) * at) / columns);
    const first = Math.floor(startS / stepS);
    const last = Math.min(steps, Math.max(first + 1, Math.ceil(endS / stepS)));
    let [low, high] = [0, 0];
    for (let step = Math.max(0, first); step < last; step++) {
      low = Math.min(low, extremes[2 * step]);
      high = Math.max(high, extremes[2 * step + 1]);
    }
    if (first >= steps) break;
    while (run < runs.length - 1 && runs[run].endS < startS) run++;
    const isKnown = runs[run] && startS >= runs[run].startS && startS <= runs[run].endS;
    brush.fillStyle = isKnown ? runs[run].colour : pale;
    const top = centre - (high / peak) * (centre - 4);
    const bottom = centre - (low / peak) * (centre - 4);
    brush.beginPath();
    brush.roundRect(x(startS) + 0.5, top - 0.75, 2, bottom - top + 1.5, 1);
    brush.fill();
  }
}

/** Absolute extremes of what is visible. */
function* sampled(extremes, viewStartS, viewEndS, stepS) {
  const start = Math.max(0, 2 * Math.floor(viewStartS / stepS));
  const end = Math.min(extremes.length, 2 * Math.ceil(viewEndS / stepS));
  // An hour of live sound has more steps than may be passed to a function at once.
  const stride = Math.max(1, Math.floor((end - start) / 8000));
  for (let i = start; i < end; i += stride) yield Math.abs(extremes[i]);
}

function drawRibbon({ brush, height, x, ink }, runs) {
  const top = height - AXIS - RIBBON;
  brush.textBaseline = "middle";
  brush.textAlign = "left";
  for (const { name, startS, endS, colour } of runs) {
    const [left, right] = [x(startS), x(endS)];
    if (right < 0) continue;
    brush.fillStyle = colour;
    brush.beginPath();
    brush.roundRect(left + 0.5, top, Math.max(1, right - left - 1), RIBBON - 4, 5);
    brush.fill();
    const text = name ? spoken(name) : "no speech";
    const start = Math.max(0, left) + 8;
    if (brush.measureText(text).width + 8 > right - start) continue;
    brush.fillStyle = name ? inkOn(colour) : ink;
    brush.fillText(text, start, top + RIBBON / 2 - 1.5);
  }
}

function drawAxis({ brush, width, height, x, viewStartS, viewEndS, soft }) {
  const stepS =
    TICKS_S.find((tick) => (width * tick) / (viewEndS - viewStartS) > TICK_WIDTH) ?? TICKS_S.at(-1);
  brush.fillStyle = soft;
  brush.textBaseline = "bottom";
  for (let i = Math.ceil(viewStartS / stepS); i * stepS <= viewEndS; i++) {
    const at = x(i * stepS);
    brush.textAlign = at < 12 ? "left" : "center";
    if (at > width - 16) continue;
    brush.fillText(clock(i * stepS).replace(/\.0$/, ""), at, height);
  }
}

function drawCursor({ brush, height, x, width, cursorS, ink, card }) {
  const at = Math.min(width - 1.5, Math.max(1.5, x(cursorS)));
  brush.fillStyle = card;
  brush.fillRect(at - 2.5, 0, 5, height - AXIS);
  brush.fillStyle = ink;
  brush.fillRect(at - 1, 0, 2, height - AXIS);
  brush.beginPath();
  brush.arc(at, 6, 6, 0, 2 * Math.PI);
  brush.fill();
}
