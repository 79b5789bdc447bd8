/** Numbers and names as people read them. */

/** `anxiety_fear` as `anxiety fear`. */
export function spoken(className) {
  return className.replaceAll("_", " ");
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** Minutes and seconds to a tenth: `1:02.5`; with hours from the first hour on. */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [minutes, hours] = [Math.floor(tenths / 600), Math.floor(tenths / 36_000)];
  const rest = `${pad(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${pad(minutes % 60)}:${rest}` : `${minutes}:${rest}`;
}

function pad(number) {
  return String(number).padStart(2, "0");
}

/** Bytes as `1.9 MB`. */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The place of the highest probability, the first of equals. */
export function bestOf(probabilities) {
  return probabilities.indexOf(Math.max(...probabilities));
}
