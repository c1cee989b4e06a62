// Laboratory: all networks learn on points in the plane, and everything can be seen.

import { Remote } from "../engine.js";
import { paintCurve, paintPlane } from "../scene.js";
import { MOST } from "../state.js";
import { HALF, add, points, strokes, undo } from "../strokes.js";
import { explain, passes } from "../words.js";

/** Milliseconds of training between two looks. */
const SLICE = 120;
const DRAW = "Draw a shape on the square, with finger or mouse: as many strokes as you like, then press Train.";

/** @param {import("../main.js").App} app */
export function lab(app) {
  const canvas = app.part("lab-canvas");
  const plot = app.part("lab-plot");
  const play = app.part("lab-play");
  const sigma = app.part("lab-sigma");
  const choice = app.part("lab-method");
  const knobs = Array.from(document.querySelectorAll("[data-knob]"));
  const remote = new Remote(app.progress);
  let run; // what the open run says of itself
  let seen; // the last look
  let [divergences, before] = [[], []]; // of this run, and of the one before
  let looking = 0; // milliseconds of a look
  let [playing, finished] = [false, false];
  let busy = Promise.resolve();
  let opened; // what is open, in a word
  let methods; // those that there are
  let updates = ""; // names of the buttons
  let pen; // vertices of the stroke under way
  let waits = false; // whether a look at another level of noise does

  const wanted = () => ["data", "draw", "method", "rate", "ratio", "divergence", "noise", "seed"].map((key) => app.state[key]).join(" ");
  const isDrawing = () => app.state.data === "drawing";
  const drawn = () => [...strokes(app.state.draw), pen ?? []];

  /** One thing after another: a run is one object, and can do one thing at a time. */
  function queue(job) {
    busy = busy.then(() => app.attempt(job, failed));
    return busy;
  }

  function failed(error) {
    stop();
    // The Worker took the run along; `show` opens it anew.
    if (passes(error)) leave();
  }

  function stop() {
    playing = false;
    play.firstChild.textContent = finished ? "Train again " : "Train ";
    play.setAttribute("aria-pressed", "false");
  }

  /** No run is open any more; its curve stays behind that of the next. */
  function leave() {
    if (divergences.length > 2) before = divergences;
    divergences = [];
    run = seen = opened = undefined;
    finished = false;
    if (!playing) stop();
    for (const id of ["lab-kl", "lab-meter"]) app.text(id, "\u2013");
  }

  /** Shows the method that was asked for, and what it reads. */
  async function choose() {
    if (!methods) {
      methods = await remote.call("labMethods");
      choice.replaceChildren(...methods.map(({ name }) => new Option(name)));
    }
    const method = methods.find(({ name }) => name === app.state.method) ?? methods[0];
    choice.value = method.name;
    app.text("lab-about", method.about);
    const reads = method.knobs.split(" ");
    for (const knob of knobs) knob.disabled = knob.dataset.reads && !reads.includes(knob.dataset.reads);
    // The figures tell of the page's own method.
    app.part("lab-story").hidden = method !== methods[0];
    return method;
  }

  async function open(why = "Ready.") {
    leave();
    const method = await choose();
    const { data, device, seed, rate, ratio, divergence, noise } = app.state;
    const vertices = isDrawing() ? points(drawn()) : [];
    if (isDrawing() && vertices.length === 0) return look();
    const opening = wanted();
    run = await remote.call("labOpen", device, data, Float32Array.from(vertices), seed, method.name, rate, ratio, divergence, noise);
    app.showDevice(run);
    app.text("lab-field", (run.field ?? "").toLowerCase());
    app.part("lab-meter").parentElement.hidden = !run.hasMeter;
    opened = opening;
    await look();
    app.say(`${why} Nothing has been learned yet.`);
  }

  async function look() {
    if (run) {
      const level = 10 ** Number(sigma.value);
      seen = { ...(await remote.call("labView", level)), level };
      if (divergences[divergences.length - 1]?.[0] !== seen.iterations) divergences.push([seen.iterations, seen.kl]);
      app.text("lab-kl", seen.kl.toFixed(2));
      if (String(seen.updates) !== updates) {
        updates = String(seen.updates);
        app.part("lab-updates").replaceChildren(...seen.updates.map(button));
      }
    } else {
      app.say(app.state.draw ? "Press Train when the drawing is done." : DRAW);
    }
    app.text("lab-steps", (seen?.iterations ?? 0).toLocaleString("en"));
    paint();
  }

  function report({ meter }) {
    if (meter !== undefined) app.text("lab-meter", `${(100 * meter).toFixed(0)} %`);
  }

  async function train() {
    while (playing) {
      // As long as a look takes, which draws samples: some take many evaluations.
      const statistics = await remote.call("labTrain", Math.max(SLICE, looking));
      report(statistics);
      const start = performance.now();
      await look();
      looking = performance.now() - start;
      if (statistics.finished) {
        finished = true;
        stop();
        app.say(`Done: after ${seen.iterations} updates the learning rates are down to zero. The divergence is ${seen.kl.toFixed(2)}.`);
        return;
      }
      if (app.state.view !== "lab") pause();
      await new Promise(requestAnimationFrame);
    }
  }

  /** Said when the slice at hand is over, and the numbers stand still. */
  function pause(why = "") {
    stop();
    queue(async () => seen && !finished && app.say(`Paused${why} after ${seen.iterations} updates, divergence ${seen.kl.toFixed(2)}.`));
  }

  function toggle() {
    if (playing) return pause();
    playing = true;
    play.firstChild.textContent = "Pause ";
    play.setAttribute("aria-pressed", "true");
    queue(async () => {
      if (opened !== wanted() || finished) await open();
      if (!run) stop();
      if (playing) app.say("Training.");
      try {
        await train();
      } catch (error) {
        stop();
        if (!["DeviceLost", "Gpu", "Diverged"].includes(error.name)) throw error;
        const why = `${explain(error)} The run starts over.`;
        app.say(why);
        await open(why);
      }
    });
  }

  function reset() {
    stop();
    return queue(open);
  }
  const step = (update) => {
    stop();
    queue(async () => {
      if (opened !== wanted() || finished) await open();
      if (!run) return;
      report(await remote.call("labStep", update));
      await look();
    });
  };

  /** What makes one update. */
  function button(update) {
    const made = document.createElement("button");
    made.type = "button";
    made.id = `lab-${update}`;
    made.textContent = `One ${update} step`;
    made.addEventListener("click", () => step(update));
    return made;
  }

  play.addEventListener("click", toggle);
  app.part("lab-reset").addEventListener("click", reset);
  app.part("lab-undo").addEventListener("click", () => app.go({ draw: undo(app.state.draw) }));
  app.part("lab-clear").addEventListener("click", () => app.go({ draw: "" }));
  app.part("lab-data").addEventListener("change", (event) => app.go({ data: event.target.value }));
  choice.addEventListener("change", () => app.go({ method: choice.value }));
  for (const knob of knobs) knob.addEventListener("change", () => app.go({ [knob.dataset.knob]: knob.value || app.state[knob.dataset.knob] }));
  sigma.addEventListener("input", () => {
    sigmaText();
    if (!run || playing || waits) return;
    waits = true;
    queue(async () => {
      waits = false;
      if (run) await look();
    });
  });
  for (const id of ["show-real", "show-fake", "show-heights", "show-gradient"]) app.part(id).addEventListener("change", paint);
  document.addEventListener("visibilitychange", () => document.hidden && playing && pause(" while the tab was hidden,"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  const vertex = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width * 2 - 1) * HALF, (1 - (event.clientY - box.top) / box.height * 2) * HALF];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!isDrawing()) return;
    canvas.setPointerCapture(event.pointerId);
    pen = [vertex(event)];
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pen) return;
    pen.push(vertex(event));
    paint();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => {
    if (!pen) return;
    const draw = add(app.state.draw, pen);
    pen = undefined;
    if (draw.length <= MOST) return app.go({ draw });
    app.say("The drawing is full: an address holds no more of it.");
    paint();
  });

  function sigmaText() {
    const text = (10 ** Number(sigma.value)).toPrecision(2);
    app.text("lab-sigma-text", text);
    sigma.setAttribute("aria-valuetext", text);
  }

  function paint() {
    const real = run && !pen ? run.real : isDrawing() ? points(drawn()) : [];
    paintPlane(canvas, { half: run?.halfWidth ?? HALF, real, latents: run?.latents, seen, shows: (what) => app.part(`show-${what}`).checked });
    paintCurve(plot, divergences, before);
    if (seen) plot.setAttribute("aria-label", `Divergence of the data from the generated points: ${divergences[0][1].toFixed(2)} at first, now ${seen.kl.toFixed(2)}`);
  }

  sigmaText();
  return {
    keys: { " ": toggle, r: reset, R: reset },
    forget() {},
    /** Loses the device on purpose: for tests. */
    lose: () => remote.call("lose"),
    async show(state) {
      app.part("lab-data").value = state.data;
      for (const knob of knobs) {
        app.choose(knob, state[knob.dataset.knob]);
      }
      canvas.classList.toggle("drawing", isDrawing());
      for (const id of ["lab-undo", "lab-clear"]) {
        app.part(id).hidden = !isDrawing();
        app.part(id).disabled = !state.draw;
      }
      if (opened === wanted()) paint();
      else if (!isDrawing()) await reset();
      else {
        // A drawing may want another stroke, and is there before the methods are.
        paint();
        stop();
        await queue(async () => {
          leave();
          await look();
          await choose();
        });
      }
    },
  };
}
