// What the page says about trouble, in plain words.

/** What computes, and why it is the processor if it is. */
export const WHY = {
  gpu: "Your graphics card computes here, by WebGPU.",
  meanwhile: "The graphics card is being prepared; the processor draws the same pictures until then.",
  "no-webgpu":
    "This browser has no WebGPU, so the pictures are computed by the processor: the same pictures, more slowly. " +
    "Current versions of Chrome, Edge, Safari and Firefox have it.",
  "no-adapter":
    "This browser knows WebGPU, but offers no graphics card here, so the processor computes the same pictures. " +
    "It may help to turn on hardware acceleration in the browser's settings, or to update the graphics driver.",
  software: "WebGPU is only software on this machine, so the processor computes, which is faster here.",
  asked: "The address asks for the processor.",
  canary:
    "The graphics card gave wrong results in a small test at the start, so the processor computes instead. " +
    "An update of the browser or the graphics driver usually helps.",
  failed: "The graphics card could not be used, so the processor computes the same pictures. The browser said: ",
  memory: "The graphics card has too little memory for this, so the processor computes the same pictures.",
  lost: "The graphics card was lost twice in a row, so the processor goes on in its place.",
};

const PLAIN = {
  BadModel: "This file can't be used. ",
  Diverged: "These weights give no finite numbers. ",
  OutOfMemory: "The graphics card has too little memory for this. Fewer pictures at a time may work. ",
  TooLarge: "This is too large for the device. ",
  NoData: "",
  Offline: "",
  Integrity: "",
  RuntimeError: "The engine has stopped. ",
};

/** What may go well the next time. */
const AGAIN = ["Offline", "Integrity", "RuntimeError"];
export const passes = (error) => AGAIN.includes(error?.name);

/** One sentence or two for an error of the engine. */
export function explain(error) {
  const text = error?.message ?? String(error);
  return `${PLAIN[error?.name] ?? "Something went wrong. "}${text}`;
}

export const ms = (time) => (time < 10 ? `${time.toFixed(1)} ms` : time < 1000 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`);
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
