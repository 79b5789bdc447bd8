/** Runs on the audio thread: passes the microphone's samples on, as they are. */

const BLOCK_SAMPLES = 2048; // 43 ms at 48 kHz: a message for each 128 would be too many

class Recorder extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK_SAMPLES);
  #filled = 0;
  #worker = null; // the port to the worker, once it has come

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (this.#worker = data);
  }

  process([input]) {
    const count = input.length; // 0 while the microphone is not connected
    for (let i = 0; count > 0 && i < input[0].length; i++) {
      let sum = 0;
      for (const channel of input) sum += channel[i];
      this.#block[this.#filled++] = sum / count;
      if (this.#filled === BLOCK_SAMPLES) this.#send();
    }
    return true;
  }

  #send() {
    this.#worker?.postMessage({ block: this.#block, sentAt: Date.now() });
    this.#block = new Float32Array(BLOCK_SAMPLES);
    this.#filled = 0;
  }
}

registerProcessor("recorder", Recorder);
