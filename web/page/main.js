// The page: state in the hash, one view at a time, plain words for what goes wrong.

import { Engine, download, read, remoteSize } from "./engine.js";
import { format, parse } from "./state.js";
import { WHY_CPU, explain, megabytes } from "./words.js";
import { best } from "./views/best.js";
import { lab } from "./views/lab.js";
import { plane } from "./views/plane.js";
import { race } from "./views/race.js";
import { sample } from "./views/sample.js";

const part = (id) => document.getElementById(id);
const text = (id, value) => {
  part(id).textContent = value;
};

/** What the views see of the page.
 * @typedef {{state: import("./state.js").State, engine: Engine, part: (id: string) => HTMLElement,
 *   text: (id: string, value: string) => void, say: (words: string) => void,
 *   go: (change: object, options?: {replace?: boolean}) => void,
 *   attempt: (job: () => Promise<void>, onError?: () => void) => Promise<void>,
 *   showDevice: (choice: object) => void}} App */

/** @type {App} */
const app = { state: parse(location.hash), engine: undefined, part, text, say, go, attempt, showDevice };

/** One or two sentences in the live region. */
function say(words) {
  text("status", words);
}

function note(words) {
  part("note").textContent = words;
  part("note").hidden = !words;
}

/** Which device is at work, and why it is not the graphics card. */
function showDevice({ kind, name, reason, detail, again }) {
  part("device").dataset.kind = kind;
  // A note would move the page twice within seconds.
  const meanwhile = reason === "meanwhile";
  text("device-name", kind === "gpu" ? `${name} · WebGPU` : `processor · ${meanwhile ? "for the moment" : "WebAssembly"}`);
  part("device").title = meanwhile ? "The graphics card is being prepared." : "";
  const why = kind === "cpu" ? WHY_CPU[reason] ?? "" : "";
  note(reason === "failed" ? `${why}${detail}` : why);
  if (again && kind === "gpu") say("The graphics card was lost for a moment; everything was set up again.");
}

/** Runs a job of the engine; errors become words. */
async function attempt(job, onError) {
  try {
    await job();
  } catch (error) {
    onError?.();
    say(explain(error));
  }
}

/** Changes the state; by default as a step that the back button undoes. */
function go(change, { replace = false } = {}) {
  const next = { ...app.state, ...change };
  const hash = format(next);
  const url = `${location.pathname}${location.search}${hash}`;
  if (hash !== format(app.state)) history[replace ? "replaceState" : "pushState"](null, "", url);
  app.state = parse(hash);
  return show();
}

const views = { sample, plane, best, race, lab };
const open = {};

/** Shows what the state says. */
function show() {
  const { view, hide } = app.state;
  for (const element of document.querySelectorAll("[data-part]")) element.hidden = hide.includes(element.dataset.part);
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.view === view;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    part(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  open[view] ??= views[view](app);
  return attempt(() => open[view].show(app.state));
}

function tabs() {
  const all = Array.from(document.querySelectorAll("[role=tab]"));
  for (const tab of all) {
    tab.addEventListener("click", () => go({ view: tab.dataset.view }));
    tab.addEventListener("keydown", (event) => {
      const shown = all.filter((other) => !other.hidden);
      const at = shown.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = shown[(to + shown.length) % shown.length];
      next.focus();
      go({ view: next.dataset.view });
    });
  }
}

/** Single keys, unless somebody is typing or a control wants the key itself. */
function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, button, a, summary")) return;
    const action = open[app.state.view]?.keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** A visitor's own generator. */
async function use(name, bytes) {
  const info = await app.engine.use(name, bytes);
  const from = [info.dataset && `trained on ${info.dataset}`, info.step && `${info.step.toLocaleString("en")} steps`].filter(Boolean);
  text("model-text", `Now drawing: ${name} (${info.parameters.toLocaleString("en")} weights${from.length ? `, ${from.join(", ")}` : ""}).`);
  // The shipped judge and the shipped denoiser know other pictures.
  for (const view of ["best", "race"]) part(`tab-${view}`).disabled = true;
  for (const view of Object.values(open)) view.forget();
  await go({ view: ["best", "race"].includes(app.state.view) ? "sample" : app.state.view });
}

function files() {
  part("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) attempt(async () => use(file.name, await read(file)));
    target.value = "";
  });
  let depth = 0;
  const showDrop = (change) => {
    depth = Math.max(0, depth + change);
    part("drop").hidden = depth === 0;
  };
  addEventListener("dragenter", () => showDrop(1));
  addEventListener("dragleave", () => showDrop(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    showDrop(-depth);
    const [file] = event.dataTransfer.files;
    if (file) attempt(async () => use(file.name, await read(file)));
  });
}

/** `?model=URL`: says what it is and how large before anything is downloaded. */
async function offerModel() {
  const address = new URLSearchParams(location.search).get("model");
  if (!address) return;
  const url = new URL(address, location.href);
  if (url.origin !== location.origin && url.protocol !== "https:") throw new Error(`A model's address starts with https, not ${url.protocol}`);
  const bytes = await remoteSize(url);
  const name = decodeURIComponent(url.pathname.split("/").pop() || "model");
  const from = url.origin === location.origin ? "this site" : url.host;
  text("offer-text", `The address asks for the model ${name} from ${from} (${bytes ? megabytes(bytes) : "of unknown size"}).`);
  part("offer").hidden = false;
  part("offer-dismiss").addEventListener("click", () => (part("offer").hidden = true));
  part("offer-load").addEventListener("click", () => attempt(async () => {
    part("offer").hidden = true;
    await use(name, await download(url, bytes, (share) => progress("generator", share)));
    progress("generator", 1);
  }));
}

/** How far a download is. */
function progress(role, share) {
  const bar = part("progress");
  bar.hidden = share >= 1;
  bar.setAttribute("aria-valuenow", Math.round(100 * share));
  bar.firstElementChild.style.width = `${100 * share}%`;
}

app.engine = new Engine(app.state.device, showDevice, progress);
tabs();
keys();
files();
addEventListener("popstate", () => {
  app.state = parse(location.hash);
  show();
});
show().then(() => document.documentElement.setAttribute("data-ready", ""));
attempt(offerModel);

// For tests, and for those who like to look: `onestep.lose()` takes the device away.
globalThis.onestep = { lose: () => (app.state.view === "lab" ? open.lab.lose() : app.engine.lose()) };

// Offline after this visit; a browser that denies storage, by a rejection or on sight, shows the page all the same.
try {
  navigator.serviceWorker?.register(new URL("../sw.js", import.meta.url)).catch(() => {});
} catch {
  // Online only.
}
