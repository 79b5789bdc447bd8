/** The network itself, in LiteRT's WebAssembly runtime. */
import { Environment, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { segmentSamples } from "./metadata.js";
import { oneLine, Refusal } from "./refusal.js";
import { modelInput } from "./windows.js";

/**
 * Start the runtime.
 *
 * @param {string} glueUrl The script that belongs to the runtime; it runs at once.
 * @param {Promise<WebAssembly.Module>} runtime Compiled by the page, so that a second
 *   worker need not compile it again.
 */
export async function startRuntime(glueUrl, runtime) {
  // The runtime's own loader takes this object and would else fetch the code itself.
  self.Module = {
    instantiateWasm(imports, done) {
      runtime.then(async (module) => done(await WebAssembly.instantiate(module, imports), module));
      return {};
    },
    // It reports what it does on the error stream; what matters is thrown.
    print() {},
    printErr() {},
  };
  // Its loader would look for a graphics processor, which takes long and warns.
  const create = Environment.create.bind(Environment);
  Environment.create = () => create({ webGpuDevice: null });
  await loadLiteRt(glueUrl);
}

/** A loaded model that takes audio; see `load`. */
export class Model {
  #compiled;

  constructor(compiled, metadata) {
    this.#compiled = compiled;
    this.metadata = metadata;
    this.classes = metadata.classes;
    this.frontEnd = metadata.front_end;
    this.length = segmentSamples(metadata.front_end);
    this.segmentMode = metadata.segment_mode;
    const { mean, deviation } = metadata.voices ?? { mean: [], deviation: [] };
    /** What standardises the features, of a typical voice; empty if nothing does. */
    this.scale = new Float32Array([...mean, ...deviation]);
  }

  /**
   * Load one model; the runtime has started before.
   *
   * @param {Uint8Array} file The `.tflite`.
   * @param {object} metadata As read from the file.
   * @throws {Refusal} The runtime cannot use the file.
   */
  static async load(file, metadata) {
    let compiled;
    try {
      compiled = await loadAndCompile(file, { accelerator: "wasm", cpuOptions: { numThreads: 1 } });
    } catch (error) {
      throw new Refusal(`this model cannot be loaded (${oneLine(error?.message ?? error, 90)})`);
    }
    const model = new Model(compiled, metadata);
    model.#checkShape();
    await model.predict(new Float32Array(model.length)); // the first run is the slowest
    return model;
  }

  #checkShape() {
    const inputs = this.#compiled.getInputDetails();
    const outputs = this.#compiled.getOutputDetails();
    const shapes = this.#inputShapes();
    const fits =
      inputs.length === shapes.length &&
      outputs.length === 1 &&
      [...inputs, ...outputs].every((end) => end.dtype === "float32") &&
      shapes.every((shape, i) => `${[...inputs[i].shape]}` === `${shape}`) &&
      `${[...outputs[0].shape]}` === `1,${this.classes.length}`;
    if (!fits) throw new Refusal("this model's inputs or outputs are not what its description says");
  }

  /** The shapes that the inputs must have. */
  #inputShapes() {
    const ofScale = this.scale.length ? [[2, this.scale.length / 2]] : [];
    return [[1, this.length], ...ofScale];
  }

  /**
   * Class probabilities of one window.
   *
   * @param {Float32Array} samples At most `length`, at the model's rate.
   * @returns {Promise<number[]>} One for each class.
   * @throws {Refusal} The model answers with something that is no number.
   */
  async predict(samples) {
    const values = [modelInput(samples, this.length), this.scale];
    const inputs = this.#inputShapes().map((shape, i) => new Tensor(values[i], shape));
    let outputs = [];
    try {
      outputs = await this.#compiled.run(inputs);
      const answer = [...outputs[0].toTypedArray()];
      if (!answer.every(Number.isFinite)) {
        throw new Refusal("this model answers with something that is no number");
      }
      return answer;
    } finally {
      // The runtime's memory is not collected: what is not deleted here stays for ever.
      for (const tensor of [...inputs, ...outputs]) tensor.delete();
    }
  }
}
