/** Files of this page: the runtime, the models, the examples. */
import { supportsFeature } from "@litertjs/core";

/* global CATALOG */ // set by the build: names and sizes of the files

export const catalog = CATALOG;

const GZIP_FIRST_BYTE = 0x1f; // neither a model nor a runtime starts with it

export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** The runtime for this browser; the fast one needs newer instructions. */
export async function runtimeFiles() {
  const kind = (await supportsFeature("relaxedSimd")) ? "fast" : "compatible";
  return catalog.runtimes[kind];
}

/**
 * Compile the runtime while it still arrives.
 *
 * @param {string} path Relative to the page.
 * @param {(bytes: number) => void} onBytes Called with the size of each piece.
 * @returns {Promise<WebAssembly.Module>}
 */
export async function fetchProgram(path, onBytes) {
  const headers = { "Content-Type": "application/wasm" };
  return WebAssembly.compileStreaming(new Response(await openFile(path, onBytes), { headers }));
}

/**
 * Fetch a file of this page.
 *
 * @param {string} path Relative to the page.
 * @param {(bytes: number) => void} onBytes Called with the size of each piece.
 * @returns {Promise<Uint8Array>}
 */
export async function fetchFile(path, onBytes) {
  return new Uint8Array(await new Response(await openFile(path, onBytes)).arrayBuffer());
}

/** A file as a stream; the build has packed the large ones. */
async function openFile(path, onBytes = () => {}) {
  const response = await fetch(address(path));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  const reader = response.body.getReader();
  let piece = await reader.read();
  // A server that knows the packing may have undone it already.
  const isPacked = piece.value?.[0] === GZIP_FIRST_BYTE;
  const arriving = new ReadableStream({
    async pull(controller) {
      if (piece.done) return controller.close();
      onBytes(piece.value.length);
      controller.enqueue(piece.value);
      piece = await reader.read();
    },
  });
  return isPacked ? arriving.pipeThrough(new DecompressionStream("gzip")) : arriving;
}
