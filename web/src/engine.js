/** The page's side of a worker that holds one model. */
import { Refusal } from "./refusal.js";

const LOAD_LIMIT_MS = 60_000; // a damaged model may never come to an end

/** A job that gave way to a newer one. */
export class Superseded extends Error {}

export class Engine {
  #worker;
  #waiting = new Map(); // promises that have no answer yet, by id
  #newest = null; // the newest job: its id, and who hears of its progress
  #id = 0;
  #prepared;
  metadata = null; // of the loaded model

  /**
   * Start a worker, and in it the runtime's script; both can happen before the runtime
   * and the model have arrived.
   *
   * @param {string} scriptUrl The worker's script, absolute.
   * @param {string} glueUrl The script that belongs to the runtime, absolute.
   */
  constructor(scriptUrl, glueUrl) {
    // A worker that is loaded by its address has no Content-Security-Policy of the page;
    // one that starts from a blob inherits it.
    const start = URL.createObjectURL(
      new Blob([`importScripts(${JSON.stringify(scriptUrl)});`], { type: "text/javascript" }),
    );
    this.#worker = new Worker(start);
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#failAll(new Error(event.message || "the worker could not start"));
    };
    this.#prepared = this.#ask({ action: "prepare", glueUrl });
  }

  /**
   * Load the model; give the engine up if this fails.
   *
   * @param {WebAssembly.Module} runtime
   * @param {Uint8Array} file The `.tflite`.
   * @param {object} metadata As read from the file.
   * @throws {Refusal} The model cannot be used.
   */
  async load(runtime, file, metadata) {
    this.metadata = metadata;
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Refusal("this model does not answer")), LOAD_LIMIT_MS);
    });
    const loaded = this.#ask({ action: "load", runtime, file, metadata });
    try {
      await Promise.race([Promise.all([this.#prepared, loaded]), limit]);
    } catch (error) {
      this.end();
      throw error instanceof Refusal ? error : new Refusal("this model cannot be run");
    } finally {
      clearTimeout(timer);
    }
  }

  /** Classify a WAV file; null if it is none that is read here. */
  classifyWav(file, onProgress) {
    return this.#ask({ action: "wav", file }, { onProgress: ({ share }) => onProgress(share) });
  }

  /** Classify what the browser has decoded; the channels are given away. */
  classifyDecoded({ channels, ...rates }, onProgress) {
    return this.#ask(
      { action: "decoded", channels, ...rates },
      { onProgress: ({ share }) => onProgress(share), transfer: channels.map((c) => c.buffer) },
    );
  }

  /** Classify the blocks that come through a port, until `stop`. */
  listen(port, rateHz, onProgress) {
    return this.#ask({ action: "listen", port, rateHz }, { onProgress, transfer: [port] });
  }

  /** Stop whatever runs. */
  stop() {
    return this.#ask({ action: "stop" });
  }

  /** Changes with each job, and when the engine ends. */
  get newestJob() {
    return this.#newest;
  }

  /** Give up the worker and its memory. */
  end() {
    this.#worker.terminate();
    this.#newest = null;
    this.#failAll(new Superseded());
  }

  #ask(message, { onProgress = () => {}, transfer = [] } = {}) {
    const id = ++this.#id;
    this.#newest = { id, onProgress };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...message, id }, transfer);
    });
  }

  #receive({ id, progress, result, stopped, refused, message }) {
    if (progress) {
      // A listening job reports after its answer, too; only the newest job counts.
      if (id === this.#newest?.id) this.#newest.onProgress(progress);
      return;
    }
    const job = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!job) return;
    if (stopped) job.reject(new Superseded());
    else if (message === undefined) job.resolve(result);
    else job.reject(refused ? new Refusal(message) : new Error(message));
  }

  #failAll(error) {
    for (const job of this.#waiting.values()) job.reject(error);
    this.#waiting.clear();
  }
}
