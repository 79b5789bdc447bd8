/** The page: what the user gives it, and what it saves. */
import "./cursor.js";
import { byId, element } from "./dom.js";
import { hear } from "./hear.js";
import { explain, refuse, say } from "./messages.js";
import { start, useOwnModel } from "./models.js";
import { page } from "./page.js";
import { oneLine } from "./refusal.js";
import { catalog, fetchFile } from "./runtime.js";
import { download, timelineCsv, timelineJson } from "./save.js";
import { spoken } from "./words.js";

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
    const own = ++page.requests;
    try {
      const clip = new Blob([await fetchFile(path)], { type: "audio/wav" });
      if (own === page.requests) await hear(clip, file);
    } catch (error) {
      explain(error);
    }
  });
  byId("examples").append(button);
}

byId("save-csv").addEventListener("click", () => {
  download(timelineCsv(page.recording, page.engine.metadata.classes), "text/csv", saveName("csv"));
});
byId("save-json").addEventListener("click", () => {
  const text = timelineJson(page.recording, page.engine.metadata.classes, page.modelName);
  download(text, "application/json", saveName("json"));
});

function saveName(ending) {
  return `${page.recording.name.replace(/\.[^.]*$/, "")}_timeline.${ending}`;
}

start().catch((error) => explain(error));
