/** What the page works with at the moment; the other modules read and change it. */

export const page = {
  runtime: null, // `module`: the compiled runtime; `glueUrl`: its script
  engine: null, // the loaded model, in its worker
  modelName: null, // of the file that the engine holds
  colours: new Map(), // from class name to colour
  recording: null, // what the timeline shows
  microphone: null, // while it listens
  requests: 0, // how often something was to be heard: an older one gives way
};
