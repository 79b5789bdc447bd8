/** Files of this page: the runtime, the models, the examples. */
import { supportsFeature } from "@litertjs/core";

/* global CATALOG */ // set by the build: names and sizes of the files

export const catalog = CATALOG;

export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** The runtime for this browser; the fast one needs newer instructions. */
export async function runtimeFiles() {
  const kind = (await supportsFeature("relaxedSimd")) ? "fast" : "compatible";
  return catalog.runtimes[kind];
}

/**
 * Fetch a file of this page; the build has packed the large ones.
 *
 * @param {string} path Relative to the page.
 * @param {(bytes: number) => void} onBytes Called with the size of each piece.
 * @returns {Promise<Uint8Array>}
 */
export async function fetchFile(path, onBytes = () => {}) {
  const response = await fetch(address(path));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  const counted = response.body.pipeThrough(
    new TransformStream({
      transform(piece, controller) {
        onBytes(piece.length);
        controller.enqueue(piece);
      },
    }),
  );
  const bytes = new Uint8Array(await new Response(counted).arrayBuffer());
  // A server that knows the packing may have undone it already.
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? unpacked(bytes) : bytes;
}

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
