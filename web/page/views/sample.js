// Draw: a grid of pictures, one evaluation each.

import { newest } from "../newest.js";
import { grid, layout, noise, save } from "../paint.js";
import { after, format } from "../state.js";
import { ms } from "../words.js";

/** @param {import("../main.js").App} app */
export function sample(app) {
  const canvas = app.part("sample-canvas");
  const seed = app.part("seed");
  const count = app.part("n");
  /** The first seed on the canvas; none while there is only noise. */
  let shown;

  const seeds = ({ seed, n }) => Array.from({ length: n }, (_, i) => after(seed, i));
  const reroll = () => app.go({ seed: after(app.state.seed, app.state.n) });

  app.part("reroll").addEventListener("click", reroll);
  seed.addEventListener("change", () => app.go({ seed: Number(seed.value) }));
  count.addEventListener("change", () => app.go({ n: Number(count.value) }));
  app.part("save").addEventListener("click", async () => {
    const name = `onestep-seed-${shown ?? "none"}.png`;
    await app.attempt(async () => {
      await save(canvas, name);
      app.say(`Saved as ${name}.`);
    });
  });
  app.part("copy").addEventListener("click", async () => {
    // The address bar may lag behind.
    const link = location.href.split("#")[0] + format(app.state);
    try {
      await navigator.clipboard.writeText(link);
      app.say("The link is on the clipboard: it leads to these very pictures.");
    } catch {
      app.say(`The browser keeps the clipboard to itself. The link: ${link}`);
    }
  });

  const pictures = newest(
    (state) => {
      if (shown === undefined) noise(canvas, state.n);
      return app.engine.draw(seeds(state));
    },
    (drawn, { seed }) => {
      grid(canvas, drawn);
      shown = seed;
      canvas.classList.remove("fresh");
      void canvas.offsetWidth; // the animation begins anew
      canvas.classList.add("fresh");
      const { columns, rows } = layout(drawn.count);
      canvas.setAttribute("aria-label", `${drawn.count} generated pictures in ${rows} rows of ${columns}, from seed ${seed} on`);
      app.text("sample-evaluations", `${drawn.count} × 1`);
      app.text("sample-ms", ms(drawn.ms));
      app.text("sample-each", ms(drawn.ms / drawn.count));
      app.say(`${drawn.count} pictures from seed ${seed} on, in ${ms(drawn.ms)}.`);
    },
  );

  return {
    keys: { r: reroll, R: reroll },
    forget: pictures.forget,
    show(state) {
      seed.value = state.seed;
      if (!Array.from(count.options).some((option) => Number(option.value) === state.n)) count.add(new Option(state.n));
      count.value = state.n;
      return pictures.ask(`${state.seed} ${state.n}`, state);
    },
  };
}
