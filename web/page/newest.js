// One job at a time, of which only the newest counts: what stays on the page is what the address asks for, however
// late an answer comes, and from whichever Worker.

/**
 * @template State, Result
 * @param {(state: State, wanted: () => boolean) => Promise<Result>} draw
 * @param {(result: Result, state: State) => void} show hears only of what is still wanted
 */
export function newest(draw, show) {
  let [asked, shown, running] = [];

  async function run() {
    try {
      while (shown !== asked) {
        const now = asked;
        const wanted = () => now === asked;
        try {
          const result = await draw(now.state, wanted);
          if (!wanted()) continue;
          show(result, now.state);
          shown = now;
        } catch (error) {
          // What nobody waits for any more may fail.
          if (wanted()) throw error;
        }
      }
    } finally {
      running = undefined;
    }
  }

  return {
    /** Resolves when the newest is shown; what is shown already, or under way, is not drawn again. */
    ask(key, state) {
      asked = [shown, asked].find((other) => other?.key === key) ?? { key, state };
      if (shown !== asked) running ??= run();
      return running;
    },
    /** What was shown is painted over, by a job that shows what it has before its end. */
    spoil() {
      shown = undefined;
    },
    /** All that was drawn is out of date, and so is what is being drawn. */
    forget() {
      asked = shown = undefined;
    },
  };
}
