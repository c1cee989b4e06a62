// Draw: a grid of pictures, one evaluation each.

import { newest } from "../newest.js";
import { grid, layout, noise } from "../paint.js";
import { after, ofClass } from "../state.js";
import { ms } from "../words.js";

/** @param {import("../main.js").App} app */
export function sample(app) {
  const canvas = app.part("sample-canvas");
  const seed = app.part("seed");
  /** The first seed on the canvas; none while there is only noise. */
  let shown;

  const seeds = ({ seed, n }) => Array.from({ length: n }, (_, i) => after(seed, i));
  const reroll = () => app.go({ seed: after(app.state.seed, app.state.n) });

  // A press of the button leaves the field before it counts: then it is for the seed that was typed.
  let typed = false;
  app.part("reroll").addEventListener("pointerdown", () => {
    typed = seed.value !== "" && seed.value !== String(app.state.seed);
  });
  app.part("reroll").addEventListener("click", ({ detail: presses }) => {
    if (!typed || presses === 0) reroll();
    typed = false;
  });
  seed.addEventListener("change", () => app.go({ seed: seed.value || app.state.seed }));
  app.part("n").addEventListener("change", ({ target }) => app.go({ n: target.value }));

  const pictures = newest(
    (state) => {
      if (shown === undefined) noise(canvas, state.n);
      return app.engine.draw(seeds(state), ofClass(state));
    },
    (drawn, { seed }) => {
      app.showClasses(drawn.classes);
      grid(canvas, drawn);
      shown = seed;
      canvas.dataset.name = `seed-${seed}`;
      canvas.classList.remove("fresh");
      void canvas.offsetWidth; // the animation begins anew
      canvas.classList.add("fresh");
      const { columns, rows } = layout(drawn.count);
      canvas.setAttribute("aria-label", `${drawn.count} generated pictures in ${rows} rows of ${columns}, from seed ${seed} on`);
      app.text("sample-evaluations", `${drawn.count} × 1`);
      app.text("sample-ms", ms(drawn.ms));
      app.text("sample-each", ms(drawn.ms / drawn.count));
      app.say(`${drawn.count} picture${drawn.count === 1 ? "" : "s"} from seed ${seed} on, in ${ms(drawn.ms)}.`);
    },
  );

  return {
    keys: { r: reroll, R: reroll },
    forget: pictures.forget,
    show(state) {
      seed.value = state.seed;
      app.choose(app.part("n"), state.n);
      return pictures.ask(`${state.seed} ${state.n} ${state.class}`, state);
    },
  };
}
