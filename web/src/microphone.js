/** The microphone, without anything that changes its sound. */
import { Refusal } from "./refusal.js";

const REASONS = {
  NotAllowedError:
    "The microphone is blocked. Allow it in the browser's settings for this page, then press Listen again.",
  NotFoundError: "No microphone was found. Connect one, then press Listen again.",
  NotReadableError: "Another program uses the microphone. Close it, then press Listen again.",
};

export class Microphone {
  #stream;
  #context;

  /**
   * Ask for the microphone and open it at its own rate.
   *
   * @param {string} recorderUrl The script for the audio thread.
   * @param {() => void} onEnd Called if the microphone goes away by itself.
   * @throws {Refusal} There is none, or it may not be used.
   */
  static async open(recorderUrl, onEnd) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Refusal(
        "The browser gives a microphone only to pages from https or from this device. Open the page there.",
      );
    }
    const microphone = new Microphone();
    try {
      await microphone.#start(recorderUrl, onEnd);
    } catch (error) {
      microphone.close();
      throw new Refusal(REASONS[error.name] ?? `The microphone cannot be used (${error.message}).`);
    }
    return microphone;
  }

  async #start(recorderUrl, onEnd) {
    // These would change the voice before the network hears it.
    const processing = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: processing });
    const [track] = this.#stream.getAudioTracks();
    track.onended = onEnd;
    // Another rate than the device's own would make the browser resample.
    const { sampleRate } = track.getSettings();
    this.#context = new AudioContext(sampleRate ? { sampleRate } : {});
    await this.#context.audioWorklet.addModule(recorderUrl);
    await this.#context.resume();
  }

  get rateHz() {
    return this.#context.sampleRate;
  }

  /** Send the samples through a port, from now on. */
  sendTo(port) {
    const recorder = new AudioWorkletNode(this.#context, "recorder", { numberOfOutputs: 0 });
    recorder.port.postMessage(port, [port]);
    this.#context.createMediaStreamSource(this.#stream).connect(recorder);
  }

  close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#context?.close();
  }
}
