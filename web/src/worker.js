/**
 * The worker: holds one model, resamples and classifies, so that the page stays quick.
 *
 * It is a classic script, because the runtime's loader needs `importScripts`.
 */
import { BLOCK_VALUES, chooseChannel, monoBlocks } from "./channels.js";
import { classifyRecording } from "./classify.js";
import { Live } from "./live.js";
import { Model, startRuntime } from "./model.js";
import { forReader, Refusal } from "./refusal.js";
import { openWav, wavBlocks } from "./wav.js";

const PROGRESS_STEP = 0.02;

let giveRuntime;
const runtime = new Promise((resolve) => (giveRuntime = resolve));
let started; // settles when the runtime has started
let model = null;
let job = 0; // the newest one; an older one that still runs stops itself

class Stopped extends Error {}

const ACTIONS = {
  async prepare({ glueUrl }) {
    started = startRuntime(glueUrl, runtime);
  },

  async load({ runtime: module, file, metadata }) {
    giveRuntime(module);
    await started;
    model = await Model.load(file, metadata);
  },

  /** A WAV file is read here; `null` says that it is none. */
  async wav({ id, file }, send) {
    const wav = await openWav(file);
    return wav && classify(id, wav, () => wavBlocks(file, wav), send);
  },

  /** What the browser has decoded. */
  async decoded({ id, rateHz, sourceHz, channels }, send) {
    const sound = { rateHz, sourceHz, frames: channels[0].length, channels: channels.length };
    return classify(id, sound, () => blocksOf(channels), send);
  },

  async listen({ id, port, rateHz }, send) {
    const live = new Live(model, rateHz, send);
    port.onmessage = async ({ data }) => {
      if (id !== job) return port.close();
      try {
        await live.take(data.block, data.sentAt);
      } catch (error) {
        send({ failed: error.message });
      }
    };
  },

  async stop() {},
};

async function classify(id, sound, blocks, send) {
  const pause = async () => {
    await nextTask(); // lets a message in that makes this job an old one
    if (id !== job) throw new Stopped();
  };
  let shown = 0;
  const onProgress = (share) => {
    if (share < shown) return;
    shown = share + PROGRESS_STEP; // drawing each window would cost more than it tells
    send({ share });
  };
  const { channel, notes } =
    sound.channels === 1
      ? { channel: null, notes: [] }
      : await chooseChannel(blocks(), sound.rateHz, pause);
  const mono = { ...sound, blocks: monoBlocks(blocks(), channel) };
  const result = await classifyRecording(model, mono, onProgress, pause);
  return { ...result, notes: [...notes, ...result.notes] };
}

function* blocksOf(channels) {
  const frames = Math.floor(BLOCK_VALUES / channels.length);
  for (let start = 0; start < channels[0].length; start += frames) {
    yield channels.map((samples) => Float64Array.from(samples.subarray(start, start + frames)));
  }
}

const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => waiting.shift()();

/** Ends when the browser has looked at its messages; quicker than `setTimeout`. */
function nextTask() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}

self.onmessage = async ({ data }) => {
  const { id, action } = data;
  if (action !== "load") job = id;
  try {
    const result = await ACTIONS[action](data, (progress) => self.postMessage({ id, progress }));
    self.postMessage({ id, result });
  } catch (error) {
    if (error instanceof Stopped) return self.postMessage({ id, stopped: true });
    const told = forReader(error);
    self.postMessage({ id, refused: told instanceof Refusal, message: told.message });
  }
};
