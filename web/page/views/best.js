// Choose: several candidates, ranked by the ratio network.

import { newest } from "../newest.js";
import { noise, single } from "../paint.js";
import { after, ofClass } from "../state.js";
import { ms } from "../words.js";

/** Two digits, and no minus in front of nothing. */
const digits = (score) => score.toFixed(2).replace(/^-0\.00$/, "0.00");

/** @param {import("../main.js").App} app */
export function best(app) {
  const ranking = app.part("ranking");

  const reroll = () => app.go({ seed: after(app.state.seed, 1) });
  app.part("best-reroll").addEventListener("click", reroll);
  app.part("best").addEventListener("change", ({ target }) => app.go({ best: target.value }));

  /** A candidate's place, and the words below. */
  function item(label, words) {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.className = "pictures";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    item.append(canvas, words);
    return item;
  }

  const candidates = newest(
    (state) => {
      const { seed, best } = state;
      if (ranking.children.length === 0) {
        ranking.append(...Array.from({ length: best }, () => item("Noise", "\u2013")));
        for (const canvas of ranking.querySelectorAll("canvas")) noise(canvas, 1);
      }
      // The candidates of seed s are s N to s N + N - 1, as `onestep sample --best-of N` takes them, all of the class of s.
      const first = (seed * best) % 2 ** 32;
      return app.engine.judge(Array.from({ length: best }, (_, i) => after(first, i)), ofClass(state, seed));
    },
    (drawn) => {
      app.showClasses(drawn.classes);
      const order = Array.from(drawn.scores.keys()).sort((a, b) => drawn.scores[b] - drawn.scores[a]);
      ranking.replaceChildren(
        ...order.map((index, rank) => {
          const made = item(`Candidate ${rank + 1} of ${drawn.count}`, digits(drawn.scores[index]));
          single(made.firstChild, drawn, index);
          return made;
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
      app.choose(app.part("best"), state.best);
      return candidates.ask(`${state.seed} ${state.best} ${state.class}`, state);
    },
  };
}
