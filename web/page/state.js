// What can be shared by copying the address: a few values in its hash. Only what differs from the
// default is written, unknown keys are ignored, numbers are clamped.

/** Most letters of a drawing: addresses get lost where they are longer. */
export const MOST = 6000;
const VERSION = "1";
const MAX_SEED = 0xffff_ffff;

/** @typedef {{view: string, seed: number, n: number, class: string, best: number, x: number, y: number,
 *   data: string, draw: string, method: string, rate: number, ratio: number, divergence: string, noise: number,
 *   device: string, hide: string[]}} State */

export const VIEWS = ["sample", "plane", "best", "race", "lab"];
export const DATA = ["two-moons", "gaussians8", "swiss-roll", "rings", "pinwheel", "checkerboard", "drawing"];
const DIVERGENCES = ["usual", "reverse-kl", "soft-reverse-kl", "js", "hellinger", "forward-kl", "jeffreys"];
const HIDEABLE = [...VIEWS, "hero", "own", "about", "seed", "n", "meter", "save", "copy"];

const whole = (low, high) => (text) => {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? Math.min(high, Math.max(low, Math.trunc(number))) : undefined;
};
const decimal = (low, high) => (text) => {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? Math.round(Math.min(high, Math.max(low, number)) * 100) / 100 : undefined;
};
const written = (pattern, most) => (text) => (text.length <= most && pattern.test(text) ? text : undefined);
const oneOf = (names) => (text) => (names.includes(text) ? text : undefined);
const someOf = (names) => (text) => text.split(",").filter((name) => names.includes(name));

/** Keys of the hash: default, and how a value is read. */
const KEYS = {
  view: ["sample", oneOf(VIEWS)],
  seed: [42, whole(0, MAX_SEED)],
  n: [16, whole(1, 64)],
  class: ["any", (text) => whole(0, 999)(text)?.toString()],
  best: [16, whole(1, 64)],
  x: [0.5, decimal(0, 1)],
  y: [0.5, decimal(0, 1)],
  data: ["two-moons", oneOf(DATA)],
  draw: ["", written(/^([\w-]{3}|\.)*$/, MOST)],
  method: ["diffratio", written(/^[a-z0-9-]+$/, 32)],
  // Settings of the laboratory: 0 is what the method takes by itself.
  rate: [1, decimal(0.01, 100)],
  ratio: [0, whole(0, 100)],
  divergence: ["usual", oneOf(DIVERGENCES)],
  noise: [0, decimal(0, 80)],
  device: ["auto", oneOf(["auto", "gpu", "cpu"])],
  hide: [[], someOf(HIDEABLE)],
};

/** @returns {State} */
export function parse(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = {};
  for (const [name, [fallback, read]] of Object.entries(KEYS)) {
    const text = given.get(name);
    state[name] = (text === null ? undefined : read(text)) ?? fallback;
  }
  return state;
}

/** The hash of a state: empty if everything is as it comes. */
export function format(state) {
  const given = [];
  for (const [name, [fallback]] of Object.entries(KEYS)) {
    const value = state[name];
    if (String(value) !== String(fallback)) given.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  }
  return given.length === 0 ? "" : `#v=${VERSION}&${given.join("&")}`;
}

/** The class that was asked for, as a list; else these. */
export const ofClass = (state, ...others) => (state.class === "any" ? others : [Number(state.class)]);

/** The next seed after a set of pictures; wraps around. */
export const after = (seed, count) => (seed + count) % (MAX_SEED + 1);
