/** The model that answers: the first one, another one of the list, or the user's own. */
import { byId, element } from "./dom.js";
import { Engine } from "./engine.js";
import { hear } from "./hear.js";
import { stopListening } from "./listening.js";
import { explain, refuse, say, showMeter } from "./messages.js";
import { readMetadata } from "./metadata.js";
import { showModel } from "./model-view.js";
import { page } from "./page.js";
import { oneLine, Refusal } from "./refusal.js";
import { address, catalog, fetchFile, fetchProgram, runtimeFiles } from "./runtime.js";
import { forget, showClasses } from "./shown.js";
import { megabytes } from "./words.js";

const MAX_MODEL_BYTES = 64 * 2 ** 20;
const OWN = "own"; // value of the user's own model in the list

let ownModel = null; // { name, file }, once the user has given one
let chosenModel = catalog.models[0].file; // its value in the list

/** Load the runtime and the first model. */
export async function start() {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function") {
    throw new Refusal("This browser is too old for this page. Use a newer one.");
  }
  const [first] = catalog.models;
  const { path, glue, bytes } = await runtimeFiles();
  const all = bytes + first.bytes;
  let loaded = 0;
  const onBytes = (count) => {
    loaded += count;
    showMeter(loaded / all);
  };
  say(`Loading the network (${megabytes(all)}) …`);
  page.runtime = { module: null, glueUrl: address(glue) };
  const firstEngine = startEngine();
  const arriving = [fetchProgram(path, onBytes), fetchFile(first.path, onBytes)];
  const [module, model] = await Promise.all(arriving);
  page.runtime.module = module;
  page.modelName = first.file;
  await useModel(model, firstEngine);
  fillModelList();
  enable(true);
  showMeter(0);
  say("Ready. Press Listen, or choose a file.");
}

/** Put a model to work; the one before stays if this one is refused. */
async function useModel(file, startedEngine) {
  const metadata = readMetadata(file);
  const next = startedEngine ?? startEngine();
  await next.load(page.runtime.module, file, metadata);
  stopListening(); // it may have begun meanwhile, if permission came late
  page.engine?.end();
  page.engine = next;
  showClasses(metadata);
  showModel(metadata, file.length);
}

function startEngine() {
  return new Engine(address("worker.js"), page.runtime.glueUrl);
}

function fillModelList() {
  const options = catalog.models.map(({ file, precision, recipe, bytes }) =>
    element("option", { value: file, textContent: `${precision}${recipe} (${megabytes(bytes)})` }),
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

/** Change the model, then classify the same file again; false if it is refused. */
async function changeModel(name, read) {
  stopListening();
  refuse("");
  say(`Loading ${oneLine(name)} …`);
  enable(false);
  try {
    const file = await read();
    await useModel(file);
  } catch (error) {
    explain(error, name);
    return false;
  } finally {
    enable(true);
  }
  page.modelName = name;
  say(`The model is now ${oneLine(name)}.`);
  if (page.recording?.file) hear(page.recording.file, page.recording.name);
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

/** @param {File} blob A `.tflite` that the user gave. */
export async function useOwnModel(blob) {
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
