// Laboratory: both networks learn on points in the plane, and everything can be seen.

import { Remote } from "../engine.js";
import { explain, passes } from "../words.js";

/** Milliseconds of training between two looks. */
const SLICE = 120;
/** Points of each kind that are painted: more would hide the map. */
const SHOWN = 1400;
/** Every second point of the field has an arrow. */
const STRIDE = 2;
const SEED = 7;
const DRAW = "Draw a shape on the square, with finger or mouse. Training starts from it.";

/** @param {import("../main.js").App} app */
export function lab(app) {
  const canvas = app.part("lab-canvas");
  const plot = app.part("lab-plot");
  const play = app.part("lab-play");
  const sigma = app.part("lab-sigma");
  const choice = app.part("lab-method");
  const remote = new Remote();
  let run; // {halfWidth, real} of the open run
  let seen; // the last look
  let divergences = [];
  let looking = 0; // milliseconds of a look
  let playing = false;
  let busy = Promise.resolve();
  /** Vertices of the visitor's strokes, `x, y, x, y, ..`. */
  let strokes = [];
  let opened; // what is open, in a word
  let methods; // those that there are
  let updates = ""; // names of the buttons
  const wanted = () => `${app.state.data} ${app.state.method}`;

  /** One thing after another: a run is one object, and can do one thing at a time. */
  function queue(job) {
    busy = busy.then(() => app.attempt(job, failed));
    return busy;
  }

  function failed(error) {
    stop();
    // The Worker took the run along; `show` opens it anew.
    if (passes(error)) run = seen = opened = undefined;
  }

  function stop() {
    playing = false;
    play.firstChild.textContent = "Train ";
    play.setAttribute("aria-pressed", "false");
  }

  const isBlank = () => app.state.data === "drawing" && strokes.length === 0;

  async function open() {
    const { data, device } = app.state;
    run = seen = undefined;
    if (isBlank()) {
      opened = wanted();
      paint();
      app.say(DRAW);
      return;
    }
    if (!methods) {
      methods = await remote.call("labMethods");
      choice.replaceChildren(...methods.map(({ name }) => new Option(name)));
    }
    const method = methods.find(({ name }) => name === app.state.method) ?? methods[0];
    choice.value = method.name;
    app.text("lab-about", method.about);
    run = await remote.call("labOpen", device, data, Float32Array.from(strokes), SEED, method.name);
    app.showDevice(run);
    app.text("lab-field", (run.field ?? "").toLowerCase());
    app.text("lab-meter", "\u2013");
    app.part("lab-meter").parentElement.hidden = !run.hasMeter;
    // The figures tell of the page's own method.
    app.part("lab-story").hidden = method !== methods[0];
    opened = wanted();
    divergences = [];
    await look();
    app.say("Ready. Nothing has been learned yet.");
  }

  async function look() {
    seen = await remote.call("labView", 10 ** Number(sigma.value));
    divergences.push([seen.iterations, seen.kl]);
    app.text("lab-steps", seen.iterations.toLocaleString("en"));
    app.text("lab-kl", seen.kl.toFixed(2));
    if (String(seen.updates) !== updates) {
      updates = String(seen.updates);
      app.part("lab-updates").replaceChildren(...seen.updates.map(button));
    }
    paint();
  }

  function report(statistics) {
    const { meter } = statistics;
    if (meter !== undefined) app.text("lab-meter", `${(100 * meter).toFixed(0)} %`);
  }

  async function train() {
    while (playing) {
      if (document.hidden || app.state.view !== "lab") {
        stop();
        return;
      }
      // As long as a look takes, which draws samples: some take many evaluations.
      const statistics = await remote.call("labTrain", Math.max(SLICE, looking));
      report(statistics);
      const start = performance.now();
      await look();
      looking = performance.now() - start;
      if (statistics.finished) {
        stop();
        app.say(`Done: after ${seen.iterations} updates the learning rates are down to zero. The divergence is ${seen.kl.toFixed(2)}.`);
        return;
      }
      await new Promise(requestAnimationFrame);
    }
  }

  function toggle() {
    if (playing) {
      stop();
      // Said when the slice at hand is over, and the numbers stand still.
      queue(async () => seen && app.say(`Paused after ${seen.iterations} updates, divergence ${seen.kl.toFixed(2)}.`));
      return;
    }
    playing = true;
    play.firstChild.textContent = "Pause ";
    play.setAttribute("aria-pressed", "true");
    queue(async () => {
      if (!run) await open();
      if (isBlank()) return stop();
      if (playing) app.say("Training.");
      try {
        await train();
      } catch (error) {
        stop();
        if (!["DeviceLost", "Gpu", "Diverged"].includes(error.name)) throw error;
        app.say(`${explain(error)} The run starts over.`);
        await open();
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
      if (!run) await open();
      if (isBlank()) return;
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
  app.part("lab-data").addEventListener("change", (event) => app.go({ data: event.target.value }));
  choice.addEventListener("change", () => app.go({ method: choice.value }));
  sigma.addEventListener("input", () => {
    sigmaText();
    if (run && !playing) queue(look);
  });
  for (const id of ["show-real", "show-fake", "show-heights", "show-gradient"]) app.part(id).addEventListener("change", paint);
  document.addEventListener("visibilitychange", () => document.hidden && playing && stop());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  // Drawing: every stroke is made of points at most a pen's width apart.
  let pen;
  const vertex = (event) => {
    const box = canvas.getBoundingClientRect();
    const half = 1.25;
    return [((event.clientX - box.left) / box.width * 2 - 1) * half, (1 - (event.clientY - box.top) / box.height * 2) * half];
  };
  function drawTo(event) {
    const [x, y] = vertex(event);
    const steps = pen ? Math.max(1, Math.ceil(Math.hypot(x - pen[0], y - pen[1]) / 0.02)) : 1;
    for (let i = 1; i <= steps; i++) {
      const share = i / steps;
      strokes.push(pen ? pen[0] + share * (x - pen[0]) : x, pen ? pen[1] + share * (y - pen[1]) : y);
    }
    pen = [x, y];
    paint();
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (app.state.data !== "drawing") return;
    if (run) {
      // A new drawing replaces the data of the old run.
      run = seen = undefined;
      strokes = [];
    }
    canvas.setPointerCapture(event.pointerId);
    pen = undefined;
    drawTo(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (pen && event.buttons > 0) drawTo(event);
  });
  canvas.addEventListener("pointerup", () => {
    if (pen) {
      pen = undefined;
      reset();
    }
  });

  function sigmaText() {
    app.text("lab-sigma-text", (10 ** Number(sigma.value)).toPrecision(2));
  }

  const shows = (what) => app.part(`show-${what}`).checked;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Everything that there is to see, on the square. */
  function paint() {
    const context = canvas.getContext("2d");
    const size = canvas.width;
    context.clearRect(0, 0, size, size);
    const half = run?.halfWidth ?? 1.25;
    const toPixel = (x, y) => [(x / half * 0.5 + 0.5) * size, (0.5 - y / half * 0.5) * size];
    if (seen && shows("heights")) paintHeights(context, size);
    const dots = (points, name, radius) => {
      context.fillStyle = colour(name);
      context.globalAlpha = 0.55;
      context.beginPath();
      const stride = Math.max(1, Math.floor(points.length / 2 / SHOWN));
      for (let i = 0; i < points.length / 2; i += stride) {
        const [x, y] = toPixel(points[2 * i], points[2 * i + 1]);
        context.moveTo(x + radius, y);
        context.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.fill();
      context.globalAlpha = 1;
    };
    if (shows("real")) dots(run?.real ?? strokes, "real", 2.4);
    if (seen && shows("fake")) dots(seen.samples, "fake", 2.4);
    if (seen && shows("gradient")) paintArrows(context, size, toPixel, half);
    paintPlot();
  }

  /** The heights of the field as a colour: the data's where they are positive, else the samples'. */
  function paintHeights(context, size) {
    const { side, heights } = seen;
    const small = new OffscreenCanvas(side, side);
    const data = new ImageData(side, side);
    const rgb = [colour("fake"), colour("real")].map((hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)));
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const height = heights[row * side + column];
        const at = 4 * ((side - 1 - row) * side + column);
        data.data.set(rgb[height > 0 ? 1 : 0], at);
        data.data[at + 3] = 110 * Math.tanh(Math.abs(height) / 2);
      }
    }
    small.getContext("2d").putImageData(data, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, size, size);
  }

  /** The arrows of the field. The steepest tenth is cut to one length, and all are drawn on its scale. */
  function paintArrows(context, size, toPixel, half) {
    const { side, slopes } = seen;
    const at = [];
    for (let row = STRIDE / 2; row < side; row += STRIDE) {
      for (let column = STRIDE / 2; column < side; column += STRIDE) at.push([column, row]);
    }
    const lengths = at.map(([column, row]) => Math.hypot(...slopes.subarray(2 * (row * side + column), 2 * (row * side + column) + 2)));
    const steep = lengths.toSorted((a, b) => a - b)[Math.floor(0.9 * lengths.length)];
    if (!(steep > 0)) return;
    const longest = 1.6 * size / side;
    context.strokeStyle = colour("gradient");
    context.lineWidth = 2;
    context.beginPath();
    for (const [index, [column, row]] of at.entries()) {
      const length = Math.min(1, lengths[index] / steep) * longest;
      if (!(length > 3)) continue;
      const i = row * side + column;
      const [ux, uy] = [slopes[2 * i] / lengths[index], -slopes[2 * i + 1] / lengths[index]];
      const [x, y] = toPixel(((column + 0.5) / side * 2 - 1) * half, ((row + 0.5) / side * 2 - 1) * half);
      const [ex, ey] = [x + ux * length, y + uy * length];
      context.moveTo(x, y);
      context.lineTo(ex, ey);
      context.moveTo(ex - 5 * ux - 4 * uy, ey - 5 * uy + 4 * ux);
      context.lineTo(ex, ey);
      context.lineTo(ex - 5 * ux + 4 * uy, ey - 5 * uy - 4 * ux);
    }
    context.stroke();
  }

  /** The divergence so far, as a line. */
  function paintPlot() {
    const context = plot.getContext("2d");
    const [width, height] = [plot.width, plot.height];
    context.clearRect(0, 0, width, height);
    context.strokeStyle = colour("line");
    context.beginPath();
    context.moveTo(0, height - 0.5);
    context.lineTo(width, height - 0.5);
    context.stroke();
    if (divergences.length < 2) return;
    const last = divergences[divergences.length - 1][0] || 1;
    const top = Math.max(...divergences.map(([, kl]) => kl)) || 1;
    context.strokeStyle = colour("fake");
    context.lineWidth = 2;
    context.beginPath();
    for (const [iteration, kl] of divergences) context.lineTo(iteration / last * width, height - 2 - kl / top * (height - 6));
    context.stroke();
    plot.setAttribute("aria-label", `Divergence of the data from the generated points: ${divergences[0][1].toFixed(2)} at first, now ${seen?.kl.toFixed(2)}`);
  }

  sigmaText();
  return {
    keys: { " ": toggle, r: reset, R: reset },
    forget() {},
    /** Loses the device on purpose: for tests. */
    lose: () => remote.call("lose"),
    async show(state) {
      app.part("lab-data").value = state.data;
      canvas.classList.toggle("drawing", state.data === "drawing");
      if (opened !== wanted()) await reset();
      else paint();
    },
  };
}
