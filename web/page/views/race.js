// 1 against 35: the generator's one step beside the denoiser's many, from the same noise.

import { newest } from "../newest.js";
import { grid } from "../paint.js";
import { after, ofClass } from "../state.js";
import { ms } from "../words.js";

/** Pictures on each side. */
const RACERS = 4;
/**
 * On the button when a race is over, also if the one that was to follow is given up before it begins. So
 * short that the field of classes stays beside it on the narrowest screen.
 */
const OVER = "Race again";

/** @param {import("../main.js").App} app */
export function race(app) {
  const [one, many] = [app.part("race-one"), app.part("race-many")];
  const [film, range, button] = [app.part("film"), app.part("film-range"), app.part("race-go")];
  let states = [];
  let done;

  const evaluations = (count) => `${count} evaluation${count === 1 ? "" : "s"}`;

  function project(index) {
    const state = states[index];
    grid(many, state);
    app.text("race-many-count", evaluations(state.evaluations));
    app.text("film-step", `${state.step} of ${states.length}`);
  }
  range.addEventListener("input", () => project(Number(range.value) - 1));

  const key = ({ seed, class: asked }) => `${seed} ${asked}`;

  async function run(state, wanted) {
    button.disabled = true;
    button.textContent = "Race";
    const racers = [Array.from({ length: RACERS }, (_, i) => after(state.seed, i)), ofClass(state)];
    try {
      // To look at while the denoiser comes, from whichever device is there.
      const first = await app.engine.draw(...racers);
      if (!wanted()) return undefined;
      done = undefined;
      races.spoil();
      film.hidden = true;
      app.showClasses(first.classes);
      grid(one, first);
      app.text("race-one-count", evaluations(1));
      let drawn, time;
      await app.engine.race(...racers, (state, timed) => {
        if (!wanted()) return false;
        // Also where a lost device begins anew.
        if (state.step === 1) [drawn, time, states] = [timed, 0, []];
        states.push(state);
        time += state.ms;
        grid(many, state);
        app.text("race-many-count", evaluations(state.evaluations));
        app.text("race-one-ms", ms(drawn.ms));
        app.text("race-many-ms", ms(time));
        app.text("race-ratio", `${(time / drawn.ms).toFixed(1)}×`);
        return true;
      });
      return { drawn, time };
    } finally {
      button.disabled = false;
      if (done !== undefined) button.textContent = OVER;
    }
  }

  const races = newest(run, ({ drawn, time }, state) => {
    done = key(state);
    button.textContent = OVER;
    range.value = range.max = states.length;
    project(states.length - 1);
    film.hidden = false;
    app.say(`One step took ${ms(drawn.ms)}, ${states[states.length - 1].evaluations} evaluations took ${ms(time)}.`);
  });
  const show = (state) => races.ask(key(state), state);

  button.addEventListener("click", () => {
    // The button stands for other noise once a race is over.
    if (done === key(app.state)) app.go({ seed: after(app.state.seed, RACERS) });
    else app.attempt(() => show(app.state));
  });

  return {
    keys: {},
    forget() {
      done = undefined;
      races.forget();
    },
    show,
  };
}
