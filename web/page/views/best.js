// Choose: several candidates, ranked by the ratio network.

import { newest } from "../newest.js";
import { single } from "../paint.js";
import { after } from "../state.js";
import { ms } from "../words.js";

/** Two digits, and no minus in front of nothing. */
const digits = (score) => score.toFixed(2).replace(/^-0\.00$/, "0.00");

/** @param {import("../main.js").App} app */
export function best(app) {
  const ranking = app.part("ranking");
  const count = app.part("best");

  const reroll = () => app.go({ seed: after(app.state.seed, 1) });
  app.part("best-reroll").addEventListener("click", reroll);
  count.addEventListener("change", () => app.go({ best: Number(count.value) }));

  const candidates = newest(
    ({ seed, best }) => {
      // The candidates of seed s are s N to s N + N - 1, as `onestep sample --best-of N` takes them.
      const first = (seed * best) % 2 ** 32;
      return app.engine.judge(Array.from({ length: best }, (_, i) => after(first, i)));
    },
    (drawn) => {
      const order = Array.from(drawn.scores.keys()).sort((a, b) => drawn.scores[b] - drawn.scores[a]);
      ranking.replaceChildren(
        ...order.map((index, rank) => {
          const item = document.createElement("li");
          const canvas = document.createElement("canvas");
          canvas.className = "pictures";
          canvas.setAttribute("role", "img");
          canvas.setAttribute("aria-label", `Candidate ${rank + 1} of ${drawn.count}`);
          single(canvas, drawn, index);
          item.append(canvas, digits(drawn.scores[index]));
          return item;
        }),
      );
      const mean = drawn.scores.reduce((sum, score) => sum + score, 0) / drawn.scores.length;
      app.text("best-top", digits(drawn.scores[order[0]]));
      app.text("best-mean", digits(mean));
      app.text("best-ms", ms(drawn.ms));
      app.say(`${drawn.count} candidates; the best scores ${digits(drawn.scores[order[0]])}, the mean ${digits(mean)}.`);
    },
  );

  return {
    keys: { r: reroll, R: reroll },
    forget: candidates.forget,
    show(state) {
      if (!Array.from(count.options).some((option) => Number(option.value) === state.best)) count.add(new Option(state.best));
      count.value = state.best;
      return candidates.ask(`${state.seed} ${state.best}`, state);
    },
  };
}
