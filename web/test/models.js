/** Model files, good and bad, made from those of the project. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readMetadata } from "../src/metadata.js";
import { SHIPPED } from "./clips.js";

const MEMBER = "light_sernet.json";

/** A model's bytes without its ZIP, and its description. */
export async function parts(name) {
  const file = await readFile(join(SHIPPED, name));
  const metadata = readMetadata(file);
  const start = file.indexOf(Buffer.from([0x50, 0x4b, 3, 4]), file.length - 20_000);
  return { network: file.subarray(0, start), metadata };
}

/** Write a model with another description: an object, or a text as it is. */
export async function writeModel(path, network, description, { method = 0 } = {}) {
  const text = typeof description === "string" ? description : JSON.stringify(description);
  await writeFile(path, Buffer.concat([network, zip(Buffer.from(text), network.length, method)]));
  return path;
}

/** A ZIP with one stored file, to follow `offset` other bytes. */
function zip(content, offset, method) {
  const name = Buffer.from(MEMBER);
  const crc = crc32(content);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(method, 8);
  local.writeUInt32LE(crc, 14);
  local.writeUInt32LE(content.length, 18);
  local.writeUInt32LE(content.length, 22);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(crc, 16);
  entry.writeUInt32LE(content.length, 20);
  entry.writeUInt32LE(content.length, 24);
  entry.writeUInt16LE(name.length, 28);
  entry.writeUInt32LE(offset, 42);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(entry.length + name.length, 12);
  end.writeUInt32LE(offset + local.length + name.length + content.length, 16);
  return Buffer.concat([local, name, content, entry, name, end]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
