// Draw: a grid of pictures, one evaluation each.

import { grid, layout, noise, save } from "../paint.js";
import { after } from "../state.js";
import { ms } from "../words.js";

/** @param {import("../main.js").App} app */
export function sample(app) {
  const canvas = app.part("sample-canvas");
  const seed = app.part("seed");
  const count = app.part("n");
  let shown = "";
  let noisy = true;

  const seeds = ({ seed, n }) => Array.from({ length: n }, (_, i) => after(seed, i));
  const reroll = () => app.go({ seed: after(app.state.seed, app.state.n) });

  app.part("reroll").addEventListener("click", reroll);
  seed.addEventListener("change", () => app.go({ seed: Number(seed.value) }));
  count.addEventListener("change", () => app.go({ n: Number(count.value) }));
  app.part("save").addEventListener("click", async () => {
    const name = `onestep-seed-${app.state.seed}.png`;
    await app.attempt(async () => {
      await save(canvas, name);
      app.say(`Saved as ${name}.`);
    });
  });
  app.part("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      app.say("The link is on the clipboard: it leads to these very pictures.");
    } catch {
      app.say(`The browser keeps the clipboard to itself. The link: ${location.href}`);
    }
  });

  return {
    keys: { r: reroll, R: reroll },
    forget() {
      shown = "";
    },
    async show(state) {
      seed.value = state.seed;
      if (!Array.from(count.options).some((option) => Number(option.value) === state.n)) count.add(new Option(state.n));
      count.value = state.n;
      const wanted = `${state.seed} ${state.n}`;
      if (wanted === shown) return;
      if (noisy) noise(canvas, state.n);
      const drawn = await app.engine.draw(seeds(state));
      grid(canvas, drawn);
      noisy = false;
      shown = wanted;
      canvas.classList.remove("fresh");
      void canvas.offsetWidth; // the animation begins anew
      canvas.classList.add("fresh");
      const { columns, rows } = layout(drawn.count);
      canvas.setAttribute("aria-label", `${drawn.count} generated pictures in ${rows} rows of ${columns}, from seed ${state.seed} on`);
      app.text("sample-evaluations", `${drawn.count} × 1`);
      app.text("sample-ms", ms(drawn.ms));
      app.text("sample-each", ms(drawn.ms / drawn.count));
      app.say(`${drawn.count} pictures from seed ${state.seed} on, in ${ms(drawn.ms)}.`);
    },
  };
}
