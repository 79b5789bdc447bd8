/**
 * A colour for each class. Those of Okabe and Ito ("Color universal design", 2008) stay
 * distinct to colour-blind eyes. Colours only help: each class is also named.
 */

const OF_EMOTION = {
  anger: "#d55e00",
  happiness: "#e69f00",
  sadness: "#0072b2",
  boredom: "#56b4e9",
  disgust: "#009e73",
  anxiety_fear: "#cc79a7",
  fear: "#cc79a7",
  neutral: "#8a93a6",
};
const OTHERS = ["#f0e442", "#7f5fc4", "#a0522d", "#5f8f1f", "#c2185b", "#00a5b5"];

/** @returns {Map<string, string>} From class name to colour. */
export function coloursOf(classes) {
  let next = 0;
  return new Map(
    classes.map((name) => [name, OF_EMOTION[name] ?? OTHERS[next++ % OTHERS.length]]),
  );
}

/** Black or white, whichever reads better on a colour. */
export function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const light = 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
  return light > 0.18 ? "#000000" : "#ffffff";
}
