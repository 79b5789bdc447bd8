/** What a model says of itself, in plain words. */
import { byId, element } from "./dom.js";
import { oneLine } from "./refusal.js";
import { megabytes, spoken } from "./words.js";

// Protocols of this project whose test voices were never heard in training.
const NEW_VOICE_PROTOCOLS = ["speaker", "session"];

/** Show the facts of a model; all come from its own description. */
export function showModel(metadata, bytes) {
  byId("facts").replaceChildren(
    ...modelFacts(metadata, bytes).flatMap(([term, text]) => [
      element("dt", { textContent: term }),
      element("dd", { textContent: text }),
    ]),
  );
}

/** @returns {[string, string][]} Terms and texts. */
export function modelFacts(metadata, bytes) {
  const { classes, front_end: frontEnd } = metadata;
  return [
    ["Trained on", trainedOn(metadata)],
    ["Right for a new voice", newVoice(metadata)],
    ["Classes", classes.map(spoken).join(", ")],
    ["Hears", `${frontEnd.duration_s} s at a time, at ${frontEnd.sample_rate_hz / 1000} kHz`],
    ["File", `${megabytes(bytes)}, ${text(metadata.precision) ?? "precision unknown"}`],
  ];
}

function trainedOn({ corpus, protocol, epochs }) {
  const name = text(corpus?.name);
  if (!name) return "This file does not say.";
  const about = text(corpus.description) ?? text(corpus.note);
  const all = protocol === "all" ? "All its recordings were used." : null;
  const passes = Number.isInteger(epochs) ? `${epochs} passes over the recordings.` : null;
  return [about ? `${name}: ${about}.` : `${name}.`, all, passes]
    .filter(Boolean)
    .join(" ")
    .replaceAll("..", ".");
}

/**
 * How often the model is right for a voice that it has never heard.
 *
 * `new_voice` is the score of the same network, trained without the voices it was asked
 * about; `scores` is the model's own, of a run that kept recordings for a test.
 */
function newVoice({ new_voice: measuredElsewhere, scores, protocol }) {
  const measured = figure(measuredElsewhere?.ua);
  if (measured) {
    const voices = Number.isInteger(measuredElsewhere.speakers) ? `${measuredElsewhere.speakers} voices` : "voices";
    return `${measured}. Measured with ${voices} that the same kind of network had not heard in training.`;
  }
  const own = figure(scores?.ua);
  if (own && NEW_VOICE_PROTOCOLS.includes(protocol)) {
    return `${own}. Measured with voices that were not used in training.`;
  }
  if (own) return `Not measured. For voices it knows: ${own}. Expect less for a new voice.`;
  const reason = protocol === "all" ? " All recordings were used for training, so none was left for a test." : "";
  return `This file does not say.${reason}`;
}

/** `76 of 100 (72 to 79)`; the mean over the classes. */
function figure(ua) {
  const [value, low, high] = [ua?.value, ua?.low, ua?.high].map((share) =>
    typeof share === "number" && share >= 0 && share <= 1 ? Math.round(100 * share) : null,
  );
  if (value === null) return null;
  return `${value} of 100${low === null || high === null ? "" : ` (between ${low} and ${high})`}`;
}

function text(value) {
  return typeof value === "string" && value.trim() ? oneLine(value) : null;
}
