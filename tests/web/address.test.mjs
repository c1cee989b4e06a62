// The address says what is shown, and what is shown is what the address says.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { assertSamePictures, close, cut, launch, open, pixels, said } from "./browser.mjs";
import { ROOT, native } from "./native.mjs";

/** How browsers answer to a page that writes its address again and again. */
const LIMITS = [
  { browser: "Safari", calls: 100, millis: 30_000 },
  { browser: "Firefox", calls: 200, millis: 10_000 },
];

/** Refuses more than `calls` changes of the address in `millis`; `history.calls` counts those that were made. */
function limit({ calls, millis }) {
  const times = [];
  history.calls = 0;
  for (const name of ["pushState", "replaceState"]) {
    const write = history[name];
    history[name] = function (...args) {
      const now = performance.now();
      while (times.length > 0 && times[0] <= now - millis) times.shift();
      if (times.length >= calls) throw new DOMException("Attempt to use the history too often.", "SecurityError");
      times.push(now);
      history.calls += 1;
      write.apply(this, args);
    };
  }
}

/** Keeps calls to Workers back, of one method or of all, from `hold` to `release`. */
function gate() {
  const { postMessage } = Worker.prototype;
  let held;
  let wanted;
  globalThis.hold = (method) => [held, wanted] = [[], method];
  globalThis.release = () => {
    const calls = held ?? [];
    held = undefined;
    for (const call of calls) call();
  };
  Worker.prototype.postMessage = function (message) {
    const call = () => postMessage.call(this, message);
    if (held && (!wanted || message.method === wanted)) held.push(call);
    else call();
  };
}

/** Lets the Workers go on, and waits until the engine's has answered all that it was asked before. */
const settle = (page) => page.evaluate(async () => {
  release();
  await onestep.lose(); // nothing on a processor
});

/** One answer after another, when the test says so. */
function answers() {
  const waiting = [];
  const draw = () => new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  return { draw, waiting };
}

/** Lets promises go on. */
const turn = () => new Promise(setImmediate);

describe("the state in the address", () => {
  test("hash round trip: only what differs, clamped, unknown keys ignored", async () => {
    const { parse, format } = await import(join(ROOT, "web/page/state.js"));
    assert.equal(format(parse("")), "");
    assert.equal(format(parse("#v=1&seed=43&n=8&view=lab")), "#v=1&view=lab&seed=43&n=8");
    for (const hash of ["#v=1&view=plane&seed=7&x=0.25&y=1", "#v=1&data=rings&device=cpu&hide=seed,about"]) assert.equal(format(parse(hash)), hash);
    assert.equal(parse("#n=1000000").n, 64);
    assert.equal(format(parse("#class=03")), "#v=1&class=3");
    assert.equal(parse("#class=cat").class, "any");
    assert.equal(parse("#n=-4").n, 1);
    assert.equal(parse("#seed=99999999999").seed, 0xffff_ffff);
    assert.equal(parse("#seed=x&nonsense=1&view=<script>").seed, 42);
    assert.equal(parse("#view=<script>").view, "sample");
    assert.equal(parse("#x=7&y=NaN").x, 1);
    assert.equal(parse("#y=NaN").y, 0.5);
    assert.deepEqual(parse("#hide=seed,body,lab").hide, ["seed", "lab"]);
  });
});

describe("of several jobs only the newest is shown", () => {
  const shown = [];
  const job = async () => {
    const { newest } = await import(join(ROOT, "web/page/newest.js"));
    const { draw, waiting } = answers();
    shown.length = 0;
    return { jobs: newest(draw, (result) => shown.push(result)), waiting };
  };

  test("an answer that comes late never replaces a newer picture", async () => {
    const { jobs, waiting } = await job();
    const first = jobs.ask("a", {});
    jobs.ask("b", {});
    const last = jobs.ask("c", {});
    waiting[0].resolve("a, from the processor");
    await turn();
    assert.equal(waiting.length, 2, "what was asked for in between is left out");
    waiting[1].resolve("c, from the card");
    await Promise.all([first, last]);
    assert.deepEqual(shown, ["c, from the card"]);
    assert.equal(jobs.ask("c", {}), undefined, "what is shown is not drawn again");
  });

  test("what failed can be asked for again, and the failure of what nobody wants is not told", async () => {
    const { jobs, waiting } = await job();
    const stale = jobs.ask("a", {});
    jobs.ask("b", {});
    waiting[0].reject(new Error("a"));
    await turn();
    waiting[1].reject(new Error("b"));
    await assert.rejects(stale, /b/);
    const again = jobs.ask("b", {});
    waiting[2].resolve("b");
    await again;
    assert.deepEqual(shown, ["b"]);
  });

  test("what an older model draws is not shown", async () => {
    const { jobs, waiting } = await job();
    jobs.ask("a", {});
    jobs.forget();
    const again = jobs.ask("a", {});
    waiting[0].resolve("old");
    await turn();
    waiting[1].resolve("new");
    await again;
    assert.deepEqual(shown, ["new"]);
  });
});

describe("pictures and address", () => {
  let browser;
  before(async () => {
    browser = await launch({ webgpu: false });
  });
  after(() => browser.close());

  /** A page whose history or Workers are as this code makes them. */
  async function opened(address, code, argument) {
    const context = await browser.newContext();
    await context.addInitScript(code, argument);
    return open(browser, address, { context });
  }

  for (const browserLimit of LIMITS) {
    test(`Morph follows the finger and both sliders where ${browserLimit.browser} refuses to write the address`, async () => {
      const page = await opened("#v=1&view=plane&seed=10&device=cpu", limit, browserLimit);
      await said(page, /A map of 36 pictures/);
      const moves = 250;
      const box = await page.locator("#pad").boundingBox();
      await page.mouse.move(box.x + 5, box.y + 5);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width - 2, box.y + box.height - 2, { steps: moves });
      const handle = await page.$eval("#handle", ({ style }) => [style.left, style.top].map(Number.parseFloat));
      for (const percent of handle) assert.ok(percent > 90, `the handle stands at ${percent} %`);
      await page.mouse.up();
      await page.waitForFunction(() => /100 % across and 100 % down/.test(document.getElementById("plane-canvas").getAttribute("aria-label")));
      // All of the plane is of one class, that of its first corner.
      assertSamePictures([(await pixels(page, "#plane-canvas")).grey], native("--seeds", "13", "--class", "0"));
      await page.waitForURL(/x=1&y=1/);
      for (const id of ["plane-u", "plane-v"]) {
        await page.$eval(`#${id}`, (slider, moves) => {
          for (let i = moves; i >= 0; i--) {
            slider.value = i / moves;
            slider.dispatchEvent(new Event("input"));
          }
          slider.dispatchEvent(new Event("change"));
        }, moves);
      }
      await page.waitForFunction(() => / 0 % across and 0 % down/.test(document.getElementById("plane-canvas").getAttribute("aria-label")));
      await page.waitForURL(/x=0&y=0/);
      const calls = await page.evaluate(() => history.calls);
      assert.ok(calls < 20, `the address was written ${calls} times`);
      await close(page);
    });
  }

  test("pictures are drawn where the address can't be written, which follows later", async () => {
    const page = await opened("#v=1&n=4&device=cpu", () => {
      const { pushState } = history;
      history.pushState = () => {
        throw new DOMException("The operation is insecure.", "SecurityError");
      };
      globalThis.allow = () => (history.pushState = pushState);
    });
    await said(page, /from seed 42/);
    await page.click("#reroll");
    await said(page, /from seed 46/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "46-49"));
    await page.evaluate(() => allow());
    await page.waitForURL(/seed=46/);
    await page.goBack();
    await said(page, /from seed 42/);
    await close(page);
  });

  test("Back while pictures are drawn: the old ones stay", async () => {
    const page = await opened("#v=1&n=4&seed=9&device=cpu", gate);
    await said(page, /from seed 9/);
    await page.evaluate(() => hold());
    await page.click("#reroll");
    await page.waitForURL(/seed=13/);
    await page.goBack();
    await page.waitForURL(/seed=9/);
    await settle(page);
    assert.match(await page.textContent("#status"), /from seed 9/);
    assert.equal(await page.inputValue("#seed"), "9");
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "9-12"));
    await close(page);
  });

  test("Back while candidates are judged: the old ones stay", async () => {
    const page = await opened("#v=1&view=best&best=4&seed=3&device=cpu", gate);
    await said(page, /4 candidates/);
    const shown = () => page.$$eval("#ranking li", (items) => items.map((item) => item.textContent));
    const old = await shown();
    await page.evaluate(() => hold());
    await page.click("#best-reroll");
    await page.waitForURL(/seed=4/);
    await page.goBack();
    await page.waitForURL(/seed=3/);
    await settle(page);
    assert.deepEqual(await shown(), old);
    await close(page);
  });

  test("Back in Morph while four other corners are on their way: the old map and the old place stay", async () => {
    const page = await opened("#v=1&view=plane&seed=10&x=0&y=0&device=cpu", gate);
    const words = await said(page, /seeds 10 to 13/);
    const map = await pixels(page, "#plane-map");
    await page.evaluate(() => hold());
    await page.click("#plane-reroll");
    await page.waitForURL(/seed=14/);
    const box = await page.locator("#pad").boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 2, box.y + box.height - 2, { steps: 3 });
    await page.mouse.up();
    await page.waitForURL(/x=1&y=1/);
    await page.goBack();
    await page.waitForURL(/seed=10/);
    // What was late, then what it has led to.
    for (let i = 0; i < 3; i++) await settle(page);
    assert.equal(await page.textContent("#status"), words);
    assert.deepEqual(await pixels(page, "#plane-map"), map);
    assert.match(await page.getAttribute("#plane-canvas", "aria-label"), / 0 % across and 0 % down/);
    assertSamePictures([(await pixels(page, "#plane-canvas")).grey], native("--seeds", "10"));
    assert.deepEqual(await page.$$eval("#plane-u, #plane-v", (sliders) => sliders.map(({ value }) => value)), ["0", "0"]);
    await close(page);
  });

  test("the words of a tab stay with it, however late they come", async () => {
    const page = await opened("#v=1&n=4&device=cpu", gate);
    const words = await said(page, /4 pictures/);
    await page.evaluate(() => hold());
    await page.click("#tab-best");
    assert.equal(await page.textContent("#status"), "", "there is nothing to say yet");
    await page.click("#tab-sample");
    assert.equal(await page.textContent("#status"), words);
    await page.evaluate(() => release());
    await page.waitForFunction(() => Number(document.getElementById("best-top").textContent));
    assert.equal(await page.textContent("#status"), words);
    await page.click("#tab-best");
    assert.match(await page.textContent("#status"), /16 candidates/);
    await close(page);
  });

  test("an address of what can't be drawn becomes that of what is", async () => {
    const page = await open(browser, "#v=1&seed=-5&n=4&device=cpu");
    await said(page, /from seed 0 /);
    assert.equal(new URL(page.url()).hash, "#v=1&seed=0&n=4&device=cpu");
    await page.evaluate(() => (location.hash = "#v=1&seed=3.7&n=4&device=cpu&nonsense=1"));
    await said(page, /from seed 3 /);
    assert.equal(new URL(page.url()).hash, "#v=1&seed=3&n=4&device=cpu");
    await page.goBack();
    await said(page, /from seed 0 /);
    await close(page);
  });

  test("Skip to the pictures leads past the heading, and to no other pictures", async () => {
    const page = await open(browser, "#v=1&view=plane&seed=9&device=cpu");
    const words = await said(page, /seeds 9 to 12/);
    await page.focus(".skip");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "views");
    await page.waitForURL(/view=plane&seed=9/);
    assert.equal(await page.textContent("#status"), words);
    assert.ok(await page.isVisible("#plane-canvas"));
    await close(page);
  });

  test("an address without settings stays short", async () => {
    const page = await open(browser, "");
    await said(page, /16 pictures/);
    assert.equal(new URL(page.url()).hash, "");
    await close(page);
  });

  test("a seed from the address is raced when it comes in the middle of a race", async () => {
    const context = await browser.newContext();
    await context.addInitScript(gate);
    await context.addInitScript(() => hold("advanceTeacher"));
    const page = await open(browser, "#v=1&view=race&device=cpu", { context });
    await page.waitForFunction(() => document.getElementById("race-one-count").textContent === "1 evaluation");
    const one = async () => cut(await pixels(page, "#race-one"), 4);
    assertSamePictures(await one(), native("--seeds", "42-45"));
    await page.evaluate(() => {
      location.hash = "#v=1&view=race&seed=7&device=cpu";
      release();
    });
    await said(page, /35 evaluations took/);
    assertSamePictures(await one(), native("--seeds", "7-10"));
    assert.equal(await page.textContent("#race-many-count"), "35 evaluations");
    await close(page);
  });

  test("Back in the middle of a race: the old one is run again", async () => {
    const page = await opened("#v=1&view=race&device=cpu", gate);
    await said(page, /35 evaluations took/);
    await page.evaluate(() => hold("advanceTeacher"));
    await page.click("#race-go");
    await page.waitForURL(/seed=46/);
    await page.waitForFunction(() => document.getElementById("race-go").textContent === "Race");
    await page.waitForFunction(() => document.getElementById("race-many-count").textContent === "35 evaluations");
    await page.goBack();
    await page.evaluate(() => release());
    await page.waitForFunction(() => document.getElementById("race-go").textContent.startsWith("Race again"));
    assertSamePictures(cut(await pixels(page, "#race-one"), 4), native("--seeds", "42-45"));
    await close(page);
  });

  test("a file and a link carry the seed of the pictures", async () => {
    const page = await opened("#v=1&n=4&seed=9&device=cpu", gate);
    await said(page, /from seed 9/);
    await page.evaluate(() => hold());
    await page.click("#reroll");
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    assert.equal(download.suggestedFilename(), "onestep-seed-9.png");
    await settle(page);
    await close(page);
  });

  test("whoever closes the list of places to share with is told of no failure", async () => {
    const page = await opened("#v=1&n=4&device=cpu", () => {
      const { matchMedia } = globalThis;
      globalThis.matchMedia = (query) => (query === "(hover: none)" ? { matches: true } : matchMedia(query));
      navigator.share = () => Promise.reject(new DOMException("", "AbortError"));
    });
    const words = await said(page, /4 pictures/);
    await page.click("#copy");
    assert.equal(await page.textContent("#status"), words);
    await close(page);
  });
});
