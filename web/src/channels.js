/** From channels to one, as the command line does it. */

/** Values in a block, of all channels: as on the command line, since parts lie within blocks. */
export const BLOCK_VALUES = 262_144;
const PART_S = 0.5; // in which channels are compared
const CANCELLED_SHARE = 0.1;
const QUIET_SHARE = 0.01; // parts with less than this share of the mean energy do not count
const NOTHING = 1e-20; // power of what rounding leaves of an offset

/**
 * The channel to be used if channels cancel each other, if only in a part. One choice
 * holds for the whole recording: a change inside it would click.
 *
 * @param {AsyncIterable<Float64Array[]>} blocks Each a list of channels.
 * @param {number} rateHz
 * @param {() => Promise<void>} pause Awaited after each block; may throw to stop.
 * @returns {Promise<{channel: number|null, notes: string[]}>} `channel` is null for the
 *   mean of all.
 */
export async function chooseChannel(blocks, rateHz, pause) {
  const parts = [];
  for await (const block of blocks) {
    parts.push(...measured(block, rateHz));
    await pause();
  }
  const meanTotal = sum(parts.map(total)) / parts.length;
  const loud = parts.filter(
    (part) => total(part) > Math.max(QUIET_SHARE * meanTotal, NOTHING * part.frames),
  );
  const cancelled = loud.filter(
    (part) => part.ofMean < (CANCELLED_SHARE * total(part)) / part.ofChannels.length ** 2,
  );
  if (cancelled.length === 0) return { channel: null, notes: [] };
  const text = `The channels cancel each other${whichPart(parts, loud, cancelled, rateHz)}`;
  // What would not be heard with each channel alone.
  const energies = parts[0].ofChannels.map((_, c) => sum(parts.map((part) => part.ofChannels[c])));
  const unheard = energies.map((_, c) => sum(loud.filter((part) => isWeak(part, c)).map(total)));
  const least = Math.min(...unheard);
  if (least >= sum(cancelled.map(total))) {
    return { channel: null, notes: [`${text}: little of that part is heard.`] };
  }
  const possible = energies.map((energy, c) => (unheard[c] === least ? energy : 0));
  const channel = possible.findIndex((energy) => energy > Math.max(...possible) / 2);
  return { channel, notes: [`${text}: only channel ${channel + 1} is used.`] };
}

/** One channel of each block, or the mean of all. */
export async function* monoBlocks(blocks, channel) {
  for await (const block of blocks) yield channel === null ? meanOf(block) : block[channel];
}

function meanOf(channels) {
  if (channels.length === 1) return channels[0];
  const mean = new Float64Array(channels[0].length);
  for (const samples of channels) {
    for (let i = 0; i < mean.length; i++) mean[i] += samples[i] / channels.length;
  }
  return mean;
}

/** Length and energies of each part of a block, without constant offsets. */
function measured(channels, rateHz) {
  const [mean, frames] = [meanOf(channels), channels[0].length];
  const count = Math.max(1, Math.round(frames / (PART_S * rateHz)));
  return Array.from({ length: count }, (_, i) => {
    const [start, end] = [i, i + 1].map((edge) => Math.floor((edge * frames) / count));
    const energyOf = (samples) => energy(samples.subarray(start, end));
    return { frames: end - start, ofMean: energyOf(mean), ofChannels: channels.map(energyOf) };
  });
}

function energy(samples) {
  let mean = 0;
  for (const sample of samples) mean += sample;
  mean /= samples.length;
  let power = 0;
  for (const sample of samples) power += (sample - mean) ** 2;
  return power;
}

function whichPart(parts, loud, cancelled, rateHz) {
  if (cancelled.length === loud.length) return "";
  const endS = (part) => sum(parts.slice(0, parts.indexOf(part) + 1).map((p) => p.frames)) / rateHz;
  const startS = endS(cancelled[0]) - cancelled[0].frames / rateHz;
  return ` from ${startS.toFixed(1)} to ${endS(cancelled.at(-1)).toFixed(1)} s`;
}

const sum = (values) => values.reduce((whole, value) => whole + value, 0);
const total = (part) => sum(part.ofChannels);
const isWeak = (part, c) => part.ofChannels[c] < CANCELLED_SHARE * Math.max(...part.ofChannels);
