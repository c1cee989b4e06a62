// The page: state in the hash, one view at a time, plain words for what goes wrong.

import { Engine, missing, read } from "./engine.js";
import { offer } from "./offer.js";
import { save } from "./paint.js";
import { format, parse } from "./state.js";
import { WHY, explain, megabytes, passes } from "./words.js";
import { best } from "./views/best.js";
import { plane } from "./views/plane.js";
import { race } from "./views/race.js";
import { sample } from "./views/sample.js";

const part = (id) => document.getElementById(id);
const text = (id, value) => {
  part(id).textContent = value;
};

/** What the views see of the page. Their words are shown with them, and so is a button for what failed and may go well
 * the next time: it shows the view again.
 * @typedef {{state: import("./state.js").State, engine: Engine, part: (id: string) => HTMLElement,
 *   text: (id: string, value: string) => void, say: (words: string) => void,
 *   go: (change: object, options?: {replace?: boolean}) => void,
 *   attempt: (job: () => Promise<void>, onError?: (error: Error) => void) => Promise<void>,
 *   choose: (field: HTMLElement, value: string | number) => void, showDevice: (choice: object) => void,
 *   showClasses: (count: number) => void,
 *   progress: (what: string, share: number, bytes: number) => void}} App */

/** @type {App} */
const app = { state: parse(location.hash), part, text, go, choose, showDevice, showClasses, progress };

/** The last words of each view, and whether it is worth another try. */
const told = {};
/** What is told with the next words, which would hide it. */
let news = "";
/** Whether there is a newer version of the page, whose files may be all that its host has. */
let outdated = false;

/** One or two sentences in the live region. */
function say(view, words, again = false) {
  told[view] = { words: words + news, again };
  news = "";
  tell();
}

function tell() {
  const { words, again } = told[app.state.view] ?? { words: "" };
  if (part("status").textContent !== words) text("status", words);
  part("again").hidden = !again;
  text("again", outdated ? "Reload the page" : "Try again");
}

/** A field's value; one that is not on a select's list is added. */
function choose(field, value) {
  field.value = value;
  if (field.value === String(value)) return;
  field.add(new Option(value));
  field.value = value;
}

/** Which device is at work, and why it is not the graphics card. */
function showDevice({ kind, name, reason, detail, again }) {
  part("device").dataset.kind = kind;
  const meanwhile = reason === "meanwhile";
  text("device-name", kind === "gpu" ? `${name} · WebGPU` : `processor · ${meanwhile ? "for the moment" : "WebAssembly"}`);
  part("device").title = meanwhile ? "The graphics card is being prepared." : "";
  const why = WHY[kind === "gpu" ? kind : reason];
  text("note", reason === "failed" ? `${why}${detail}` : why);
  news = again && kind === "gpu" ? " The graphics card was lost for a moment; everything was set up again." : "";
}

/** Runs a job of the engine for a view; errors become words. */
async function attempt(view, job, onError) {
  try {
    await job();
  } catch (error) {
    onError?.(error);
    say(view, explain(error), passes(error));
  }
  arrived();
}

/** Milliseconds that nothing moves before the address follows. */
const REST = 400;
let resting;

/** Changes the state and shows it; by default as a step that the back button undoes. With `replace` the address
 * follows when things have come to rest: a finger moves more often than browsers let a page write there. */
function go(change, { replace = false } = {}) {
  if (!replace) write();
  // What follows is no first look.
  if (change.view) document.documentElement.dataset.seen = "";
  app.state = possible(parse(format({ ...app.state, ...change })));
  clearTimeout(resting);
  if (replace) resting = setTimeout(write, REST);
  else write("pushState");
  return show();
}

/** The state, or the view that is there instead: the shipped judge and the shipped denoiser know other pictures than a
 * visitor's own generator makes. */
function possible(state) {
  return app.engine?.own && OF_DIGITS.includes(state.view) ? { ...state, view: "sample" } : state;
}

/** Writes the state into the address. Safari refuses the 101st time in 30 s, Firefox the 201st in 10 s, by an error,
 * and Chromium in silence: it is tried again. */
function write(how = "replaceState") {
  clearTimeout(resting);
  const hash = format(app.state);
  // An address without settings stays as short as it is, as long as they are the usual ones.
  const differs = () => hash !== (location.hash || format(parse("")));
  if (!differs()) return;
  try {
    history[how](null, "", `${location.pathname}${location.search}${hash}`);
  } catch {
    // Too often.
  }
  if (differs()) resting = setTimeout(write, REST, how);
}

const OF_DIGITS = ["best", "race"];
/** Views of pictures; that of the laboratory is no part of the first code. */
const views = { sample, plane, best, race };
const open = {};
/** Views whose code is on its way, and how often that of the laboratory has been asked for. */
const opening = {};
let asked = 0;

/** A view. The laboratory's comes when it is first wanted; a browser would not ask for a script of the same name again
 * that did not come. */
async function enter(view) {
  let make = views[view];
  if (!make) {
    const again = asked++ ? `?${asked}` : "";
    try {
      ({ lab: make } = await import(`./views/lab.js${again}`));
    } catch {
      delete opening[view];
      // What it imports keeps its names: if that did not come, only a new page helps.
      if (asked > 1) outdated = true;
      throw missing();
    }
  }
  open[view] = make({ __proto__: app, say: say.bind(null, view), attempt: attempt.bind(null, view) });
}

/** Shows what the state says. */
function show() {
  const { view, hide } = app.state;
  for (const element of document.querySelectorAll("[data-part]")) element.hidden = hide.includes(element.dataset.part);
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.view === view;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    part(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen) document.title = `${tab.textContent} · onestep: pictures from noise in one step`;
  }
  tell();
  const field = part("class-field");
  const beside = part(`view-${view}`).querySelector(".actions");
  if (view in views && field.parentElement !== beside) beside.append(field);
  choose(part("class"), app.state.class);
  return attempt(view, async () => {
    await (opening[view] ??= enter(view));
    if (view === app.state.view) await open[view].show(app.state);
  });
}

/** Lets a visitor choose among the classes that the network knows. */
function showClasses(count) {
  part("class-field").hidden = count === 0;
  const field = part("class");
  if (field.length === count + 1) return;
  field.replaceChildren(...["any", ...Array(count).keys()].map((name) => new Option(name)));
  choose(field, app.state.class);
}

function tabs() {
  const all = Array.from(document.querySelectorAll("[role=tab]"));
  for (const tab of all) {
    tab.addEventListener("click", () => go({ view: tab.dataset.view }));
    tab.addEventListener("keydown", (event) => {
      const shown = all.filter((other) => !other.hidden && !other.disabled);
      const at = shown.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = shown[(to + shown.length) % shown.length];
      next.focus();
      // One step of the history, however many tabs are passed.
      go({ view: next.dataset.view }, { replace: true });
    });
  }
}

/** Single keys, unless somebody is typing or a control wants the key itself: buttons take Space, letters they don't. */
function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const takes = event.key === " " ? "input, select, button:not([aria-selected=true]), a, summary" : "[type=number], select";
    if (event.target.closest(takes)) return;
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
  changed(true);
}

/** Another generator is at work: all that was drawn is out of date. */
function changed(own) {
  for (const view of OF_DIGITS) part(`tab-${view}`).disabled = own;
  part("back").hidden = !own;
  for (const view of Object.values(open)) view.forget();
  return go({});
}

const take = (file) => attempt(app.state.view, async () => use(file.name, await read(file)), (error) => text("model-text", explain(error)));

function files() {
  part("back").addEventListener("click", () => {
    app.engine.back();
    text("model-text", "");
    changed(false);
  });
  part("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) take(file);
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
    if (file) take(file);
  });
}

/** Bytes that are there, and all, of what is on its way. */
let coming = {};

/** How far a download is, on the stage. */
function progress(what, share, bytes) {
  coming[what] = [share * bytes, bytes];
  const sum = (i) => Object.values(coming).reduce((all, one) => all + one[i], 0);
  const [got, all] = [sum(0), sum(1)];
  const rest = Object.keys(coming).filter((one) => coming[one][0] < coming[one][1]);
  part("loading").hidden = false;
  text("loading-text", rest.length ? `Fetching ${rest.join(" and ")}, ${(got / 1e6).toFixed(1)} of ${megabytes(all)}` : "Preparing");
  const bar = part("progress");
  bar.setAttribute("aria-valuenow", Math.round(100 * got / all));
  bar.firstElementChild.style.width = `${100 * got / all}%`;
}

/** Nothing is on its way any more. */
function arrived() {
  coming = {};
  part("loading").hidden = true;
}

/** The address of what is to be seen, which the address bar may lag behind. */
async function share() {
  const { view } = app.state;
  const url = location.href.split("#")[0] + format(app.state);
  try {
    if (navigator.share && matchMedia("(hover: none)").matches) return await navigator.share({ url });
    await navigator.clipboard.writeText(url);
    say(view, "The link is on the clipboard: it leads to what you see here.");
  } catch ({ name }) {
    // Whoever closes the list of places to share with wants no link.
    if (name !== "AbortError") say(view, `The browser keeps the clipboard to itself. The link: ${url}`);
  }
}

/** The first picture of the view as a file. */
function keep() {
  const { view } = app.state;
  const canvas = part(`view-${view}`).querySelector("canvas");
  const name = `onestep-${canvas.dataset.name ?? view}.png`;
  attempt(view, async () => {
    await save(canvas, name);
    say(view, `Saved as ${name}.`);
  });
}

/** Offline after this visit: a copy that is made when there is something to see, for both share the line. A browser
 * that denies storage, by a rejection or on sight, shows the page all the same. */
function keepCopy() {
  try {
    const { serviceWorker } = navigator;
    let first = !serviceWorker?.controller;
    serviceWorker?.addEventListener("controllerchange", () => {
      outdated = !first;
      first = false;
      if (outdated) say(app.state.view, "There is a new version of this page.", true);
      // What was fetched by now went past it, and may be added; that costs nothing where browsers keep files.
      if (navigator.connection?.saveData) return;
      serviceWorker.controller?.postMessage(performance.getEntriesByType("resource").map(({ name }) => name));
    });
    serviceWorker?.register(new URL("../sw.js", import.meta.url)).catch(() => {});
  } catch {
    // Online only.
  }
}

app.engine = new Engine(app.state.device, showDevice, progress);
tabs();
keys();
files();
part("class").addEventListener("change", ({ target }) => go({ class: target.value }));
part("copy").addEventListener("click", share);
part("save").addEventListener("click", keep);
part("again").addEventListener("click", async () => {
  if (outdated) return location.reload();
  const [{ view }, trying] = [app.state, "Trying again."];
  say(view, trying);
  await show();
  if (told[view].words === trying) say(view, "");
});
addEventListener("popstate", () => {
  clearTimeout(resting);
  // "Skip to the pictures" leads to a place of the page, and says nothing of what is drawn.
  if (location.hash !== "#views") app.state = possible(parse(location.hash));
  write();
  show();
});
// What the address asks for may be more than there is.
write();
show().then(() => {
  document.documentElement.dataset.ready = "";
  (globalThis.requestIdleCallback ?? setTimeout)(keepCopy);
});
offer(app, use, arrived);

// For tests, and for those who like to look: `onestep.lose()` takes the device away.
globalThis.onestep = { lose: () => (app.state.view === "lab" ? open.lab.lose() : app.engine.lose()) };
