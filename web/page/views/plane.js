// Morph: a plane of latents between four seeds, under a finger.

import { newest } from "../newest.js";
import { grid, single } from "../paint.js";
import { after, ofClass } from "../state.js";
import { ms } from "../words.js";

/** Pictures along a side of the map. */
const SIDE = 6;

/** @param {import("../main.js").App} app */
export function plane(app) {
  const canvas = app.part("plane-canvas");
  const map = app.part("plane-map");
  const pad = app.part("pad");
  const handle = app.part("handle");
  const [across, down] = [app.part("plane-u"), app.part("plane-v")];
  let busy = false;
  let wanted;

  // The map's pictures stand at the centres of its cells; so does the place under the finger.
  const cells = Array.from({ length: SIDE * SIDE }, (_, i) => [(i % SIDE) / (SIDE - 1), Math.floor(i / SIDE) / (SIDE - 1)]);
  const toPlace = (share) => Math.min(1, Math.max(0, (share * SIDE - 0.5) / (SIDE - 1)));
  const toShare = (place) => (place * (SIDE - 1) + 0.5) / SIDE;

  /** Draws the newest place that was asked for; places in between are left out. */
  async function follow() {
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        const { seed, x, y } = wanted;
        const asked = ofClass(wanted);
        wanted = undefined;
        const drawn = await app.engine.drawPlane(seed, [x, y], asked);
        single(canvas, drawn);
        canvas.setAttribute("aria-label", `The picture ${Math.round(x * 100)} % across and ${Math.round(y * 100)} % down`);
        app.text("plane-ms", ms(drawn.ms));
      }
    } finally {
      busy = false;
    }
  }

  const all = newest(
    (state) => app.engine.drawPlane(state.seed, cells.flat(), ofClass(state)),
    (drawn, { seed }) => {
      app.showClasses(drawn.classes);
      if (drawn.count === SIDE * SIDE) grid(map, drawn);
      else single(map, drawn);
      app.say(`A map of ${drawn.count} pictures between seeds ${seed} to ${after(seed, 3)}, in ${ms(drawn.ms)}.`);
    },
  );

  const place = (event) => {
    const box = pad.getBoundingClientRect();
    const x = toPlace((event.clientX - box.left) / box.width);
    const y = toPlace((event.clientY - box.top) / box.height);
    app.go({ x: Math.round(x * 100) / 100, y: Math.round(y * 100) / 100 }, { replace: true });
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    place(event);
  });
  pad.addEventListener("pointermove", (event) => {
    if (event.buttons > 0) place(event);
  });
  const slide = () => app.go({ x: Number(across.value), y: Number(down.value) }, { replace: true });
  across.addEventListener("input", slide);
  down.addEventListener("input", slide);
  const reroll = () => app.go({ seed: after(app.state.seed, 4) });
  app.part("plane-reroll").addEventListener("click", reroll);

  return {
    keys: { r: reroll, R: reroll },
    forget: all.forget,
    async show(state) {
      [across.value, down.value] = [state.x, state.y];
      handle.style.left = `${100 * toShare(state.x)}%`;
      handle.style.top = `${100 * toShare(state.y)}%`;
      wanted = state;
      // Asked for at once: when the place is there, the map of this state may not be wanted any more.
      await Promise.all([follow(), all.ask(`${state.seed} ${state.class}`, state)]);
    },
  };
}
