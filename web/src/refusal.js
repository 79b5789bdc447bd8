/** Something the user gave cannot be used; the message is one line that says why. */
export class Refusal extends Error {
  name = "Refusal";
}

const LOST = ["NotReadableError", "NotFoundError"]; // a browser's names of such errors

/** A file that was changed, moved or unplugged after it was chosen, as a refusal. */
export function forReader(error) {
  const isLost = error instanceof DOMException && LOST.includes(error.name);
  return isLost ? new Refusal("this file can no longer be read") : error;
}

/** A text from a file, fit for one line: control characters become spaces. */
export function oneLine(text, longest = 200) {
  const line = String(text)
    .replace(/[\p{C}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}
