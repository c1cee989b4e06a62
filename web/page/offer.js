// `?model=URL`: a generator from elsewhere. Nobody else is asked for anything before the visitor agrees, and what goes
// wrong is told where the offer stands.

import { download, named, remoteSize } from "./engine.js";
import { explain, megabytes, passes } from "./words.js";

/** Where a model may come from. A copy of the page may be built so that it connects to its own site only. */
function check(address) {
  let url;
  try {
    url = new URL(address, location.href);
  } catch {
    throw named("BadModel", `${address} is no address.`);
  }
  if (url.origin === location.origin) return url;
  if (url.protocol !== "https:") throw named("BadModel", `A model's address starts with https:, not ${url.protocol}`);
  const policy = document.querySelector("meta[http-equiv]").content;
  if (!policy.includes("https:")) throw named("BadModel", `This copy of the page takes models from its own site only, not from ${url.host}.`);
  return url;
}

/**
 * @param {import("./main.js").App} app
 * @param {(name: string, bytes: ArrayBuffer) => Promise<void>} use
 * @param {() => void} arrived hides the progress
 */
export async function offer(app, use, arrived) {
  const address = new URLSearchParams(location.search).get("model");
  if (!address) return;
  const [box, load] = [app.part("offer"), app.part("offer-load")];
  const stop = new AbortController();
  const say = (words) => app.text("offer-text", words);
  async function attempt(job) {
    try {
      await job();
    } catch (error) {
      say(explain(error));
      load.hidden = !passes(error);
    }
    load.disabled = false;
    box.hidden = stop.signal.aborted;
  }

  app.part("offer-dismiss").addEventListener("click", () => {
    stop.abort();
    box.hidden = true;
  });
  await attempt(async () => {
    const url = check(address);
    const [name, here] = [url.pathname.split("/").pop() || "model", url.origin === location.origin];
    const what = `the model ${name} from ${here ? "this site" : url.host}`;
    const sized = (bytes) => (bytes ? megabytes(bytes) : "of unknown size");
    load.addEventListener("click", () => attempt(async () => {
      load.disabled = true;
      say(`Fetching ${what}.`);
      const onProgress = (share, bytes) => {
        app.progress("the model", share, bytes);
        say(`Fetching ${what} (${sized(bytes)}).`);
      };
      const bytes = await download(url, 0, onProgress, { signal: stop.signal });
      if (!stop.signal.aborted) await use(name, bytes);
      stop.abort();
    }).then(arrived));
    if (here) say(`The address asks for ${what} (${sized(await remoteSize(url))}).`);
    else say(`The address asks for ${what}. Nothing has been asked of that host so far.`);
  });
}
