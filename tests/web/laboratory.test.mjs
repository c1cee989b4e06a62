// The laboratory: drawings, settings and pictures of a run, and the links that lead to them.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { close, launch, open, pixels, said, withWorker } from "./browser.mjs";
import { ROOT } from "./native.mjs";

const page_ = (name) => import(join(ROOT, `web/page/${name}.js`));

let browser;
before(async () => {
  browser = await launch({ webgpu: false });
});
after(() => browser.close());

/** Draws a line on the square, from and to shares of its side. */
async function stroke(page, ...places) {
  const box = await page.locator("#lab-canvas").boundingBox();
  const at = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...at(places[0]));
  await page.mouse.down();
  for (const place of places.slice(1)) await page.mouse.move(...at(place), { steps: 4 });
  await page.mouse.up();
}

const drawing = (page) => page.evaluate(() => new URLSearchParams(location.hash.slice(1)).get("draw") ?? "");
/** Coloured dots of the canvas. */
const ink = async (page) => (await pixels(page, "#lab-canvas")).grey.filter((level) => level > 0).length;

describe("a drawing", () => {
  test("strokes come back from the address where they were, in few letters", async () => {
    const { HALF, add, points, strokes, undo } = await page_("strokes");
    const circle = Array.from({ length: 200 }, (_, i) => [Math.cos(i / 199 * 2 * Math.PI), Math.sin(i / 199 * 2 * Math.PI)]);
    const drawn = add(add("", circle), [[0.5, 0.25]]);
    assert.match(drawn, /^[\w-]+\.[\w-]{3}$/);
    assert.ok(drawn.length < 120, `${drawn.length} letters`);
    const [back, dot] = strokes(drawn);
    assert.ok(Math.hypot(dot[0][0] - 0.5, dot[0][1] - 0.25) < 0.01);
    const along = points([back]);
    for (let i = 0; i < along.length; i += 2) assert.ok(Math.abs(Math.hypot(along[i], along[i + 1]) - 1) < 0.02);
    for (const [x, y] of circle) {
      const near = Math.min(...Array.from({ length: along.length / 2 }, (_, i) => Math.hypot(along[2 * i] - x, along[2 * i + 1] - y)));
      assert.ok(near < 0.04, `${near} from ${x}, ${y}`);
    }
    assert.equal(add("", strokes(drawn)[0]), drawn.split(".")[0], "what was packed is packed to the same letters");
    assert.equal(undo(drawn), drawn.split(".")[0]);
    assert.equal(undo(undo(drawn)), "");
    assert.ok(strokes(add("", [[9 * HALF, -9 * HALF]])).flat(2).every((x) => Math.abs(x) <= HALF));
    const { parse, format } = await page_("state");
    assert.equal(parse(format(parse(`#data=drawing&draw=${drawn}`))).draw, drawn);
    for (const bad of ["ab", "abc.%20cd", "a".repeat(9999)]) assert.equal(parse(`#draw=${bad}`).draw, "");
  });

  test("a smiley of four strokes stays whole until Train, can be undone and cleared, and is there after a reload", async () => {
    const page = await open(browser, "#v=1&view=lab&data=drawing&device=cpu");
    await said(page, /Draw a shape/);
    await stroke(page, [0.35, 0.3], [0.35, 0.4]);
    await stroke(page, [0.65, 0.3], [0.65, 0.4]);
    await said(page, /Press Train/);
    await stroke(page, [0.25, 0.6], [0.5, 0.75], [0.75, 0.6]);
    assert.equal((await drawing(page)).split(".").length, 3);
    const whole = await ink(page);
    await stroke(page, [0.5, 0.1], [0.6, 0.1]);
    assert.ok((await ink(page)) > whole);
    await page.click("#lab-undo");
    assert.equal(await ink(page), whole);
    await page.goBack();
    assert.equal((await drawing(page)).split(".").length, 4);
    await page.goForward();
    await page.reload();
    await said(page, /Press Train/);
    assert.equal(await ink(page), whole);
    await page.click("#lab-play");
    await page.waitForFunction(() => Number(document.getElementById("lab-steps").textContent) > 0);
    await page.click("#lab-play");
    await said(page, /Paused after/);
    await stroke(page, [0.1, 0.9], [0.2, 0.9]);
    await said(page, /Press Train/);
    assert.equal((await drawing(page)).split(".").length, 4, "a stroke after training is one more");
    await page.click("#lab-clear");
    await said(page, /Draw a shape/);
    assert.equal(await ink(page), 0);
    await close(page);
  });

  test("a stroke that an address can't hold any more is not left on the square", async () => {
    const page = await open(browser, `#v=1&view=lab&data=drawing&draw=${"AAA".repeat(1999)}&device=cpu`);
    await said(page, /Press Train/);
    const full = await ink(page);
    await stroke(page, [0.2, 0.2], [0.8, 0.7]);
    await said(page, /drawing is full/);
    assert.equal(await ink(page), full);
    await close(page);
  });

  test("its method is shown before the first stroke, with what it reads, and again after Back", async () => {
    const page = await open(browser, "#v=1&view=lab&data=drawing&method=flow&device=cpu");
    const shows = (method, disabled) => page.waitForFunction(
      ([method, disabled]) => document.getElementById("lab-method").value === method && document.querySelector("[data-knob=ratio]").disabled === disabled,
      [method, disabled],
    );
    await shows("flow", true);
    assert.match(await page.textContent("#status"), /Draw a shape/);
    await page.selectOption("#lab-method", "diffratio");
    await shows("diffratio", false);
    await page.goBack();
    await shows("flow", true);
    await close(page);
  });
});

describe("what is shown of a run", () => {
  test("arrows are on one scale: half the slope is half the length, to nothing", async () => {
    const { arrows } = await page_("scene");
    const side = 32;
    const of = (slope, level) => arrows({ side, slopes: new Float32Array(2 * side * side).fill(slope) }, level, 1.25);
    const length = (all) => Math.hypot(all[0][2], all[0][3]);
    assert.equal(of(2, 0.2).length, 256);
    assert.ok(Math.abs(length(of(2, 0.2)) - 0.04 * Math.hypot(2, 2)) < 1e-6, "slope times noise squared");
    assert.ok(Math.abs(length(of(2, 0.2)) / length(of(1, 0.2)) - 2) < 1e-6);
    assert.equal(of(0.01, 0.2).length, 0, "what is nothing has no arrow");
    assert.ok(Math.abs(length(of(1e6, 0.2)) - 0.3) < 1e-6, "and what is huge is cut");
  });

  test("points have the colour of their noise, and the curve has axes with numbers", async () => {
    const page = await open(browser, "#v=1&view=lab&data=rings&device=cpu");
    await said(page, /Ready/);
    for (const what of ["real", "heights", "gradient"]) await page.uncheck(`#show-${what}`);
    const hues = await page.evaluate(() => {
      const canvas = document.getElementById("lab-canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let i = 0; i < data.length; i += 4) {
        const rgb = data.subarray(i, i + 3);
        const [low, high] = [Math.min(...rgb), Math.max(...rgb)];
        if (data[i + 3] > 150 && high - low > 80) seen.add(Array.from(rgb, (c) => Math.round((c - low) / (high - low) * 2)).join());
      }
      return seen.size;
    });
    assert.ok(hues >= 10, `${hues} hues`);
    const plot = await pixels(page, "#lab-plot");
    const column = (from, to) => plot.grey.filter((level, i) => level > 0 && i % plot.width >= from && i % plot.width < to).length;
    assert.ok(column(0, 66) > 50, "numbers beside the axis");
    assert.ok(column(68, 72) > 150, "the axis");
    await close(page);
  });

  test("a run that ended can be trained again, and one in a hidden tab says that it waits", async () => {
    const context = await withWorker(browser, `
      const post = self.postMessage.bind(self);
      let first = true;
      self.postMessage = (message) => {
        if (message.result?.finished === false && first) message.result.finished = !(first = false);
        post(message);
      };`);
    const page = await open(browser, "#v=1&view=lab&device=cpu", { context });
    await said(page, /Ready/);
    await page.click("#lab-play");
    await said(page, /Done/);
    assert.match(await page.textContent("#lab-play"), /Train again/);
    await page.click("#lab-play");
    await said(page, /Training/);
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await said(page, /Paused while the tab was hidden/);
    assert.match(await page.textContent("#lab-play"), /^Train /);
    await close(page, [/Service Worker registration blocked/]);
  });

  test("the noise slider asks for one look at a time, and leaves the curve of the run before", async () => {
    const context = await browser.newContext();
    await context.addInitScript(() => {
      const { postMessage } = Worker.prototype;
      globalThis.calls = [];
      Worker.prototype.postMessage = function (message) {
        calls.push(message.method);
        postMessage.call(this, message);
      };
    });
    const page = await open(browser, "#v=1&view=lab&data=gaussians8&device=cpu", { context });
    await said(page, /Ready/);
    /** Starts over; the curves then, and how often was looked since the last time. */
    const reset = async () => {
      await page.click("#lab-reset");
      await page.waitForFunction(() => calls.slice(-2).join() === "labOpen,labView" && Number(document.getElementById("lab-kl").textContent) > 0);
      const looks = await page.evaluate(() => calls.splice(0).filter((method) => method === "labView").length);
      return { looks, curves: (await pixels(page, "#lab-plot")).grey.join() };
    };
    for (let i = 1; i <= 3; i++) {
      await page.click("#lab-generator");
      await page.waitForFunction((i) => document.getElementById("lab-steps").textContent === String(i), i);
    }
    const { curves } = await reset();
    await page.$eval("#lab-sigma", (slider) => {
      for (let i = 0; i < 20; i++) {
        slider.value = 0.1 * i - 1.7;
        slider.dispatchEvent(new Event("input"));
      }
    });
    const later = await reset();
    assert.equal(later.looks, 2, "one of the slider, one of the new run");
    assert.ok(later.curves === curves, "the curve of the run before is there as it was");
    await close(page);
  });

  test("a run whose device is lost says that it starts over", async () => {
    const context = await withWorker(browser, `
      const post = self.postMessage.bind(self);
      let lost = false;
      self.postMessage = (message) => {
        const loses = !lost && message.result?.finished === false;
        lost ||= loses;
        post(loses ? { id: message.id, error: { name: "DeviceLost", message: "It was lost." } } : message);
      };`);
    const page = await open(browser, "#v=1&view=lab&device=cpu", { context });
    await said(page, /Ready/);
    await page.click("#lab-play");
    await said(page, /It was lost\. The run starts over\. Nothing has been learned yet\./);
    await close(page, [/Service Worker registration blocked/]);
  });
});

describe("settings of the laboratory", () => {
  /** The divergence after some steps of a run. */
  async function afterSteps(address) {
    const page = await open(browser, `#v=1&view=lab&data=gaussians8&device=cpu${address}`);
    await said(page, /Ready/);
    for (let i = 1; i <= 4; i++) {
      await page.click("#lab-ratio");
      await page.click("#lab-generator");
      await page.waitForFunction((i) => document.getElementById("lab-steps").textContent === String(i), i);
    }
    const made = (await pixels(page, "#lab-canvas")).grey.join();
    await close(page);
    return made;
  }

  test("rate, divergence, noise and seed change the run, and the same settings give the same", async () => {
    const usual = await afterSteps("");
    assert.equal(await afterSteps("&seed=42"), usual);
    const others = ["&rate=10", "&divergence=forward-kl", "&noise=0.2", "&seed=43"];
    for (const other of others) assert.notEqual(await afterSteps(other), usual, other);
  });

  test("five settings are in the address, and Share leads to drawing and settings", async () => {
    const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
    const page = await open(browser, "#v=1&view=lab&data=drawing&device=cpu", { context });
    await said(page, /Draw a shape/);
    await stroke(page, [0.2, 0.2], [0.8, 0.7]);
    await said(page, /Press Train/);
    await page.click("#view-lab summary");
    for (const [knob, value] of [["rate", "3"], ["ratio", "8"], ["divergence", "js"], ["noise", "0.5"]]) await page.selectOption(`[data-knob=${knob}]`, value);
    await page.fill("#lab-seed", "7");
    await page.press("#lab-seed", "Enter");
    await page.click("#copy");
    await said(page, /clipboard/);
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, /seed=7&data=drawing&draw=[\w-]+&rate=3&ratio=8&divergence=js&noise=0.5/);
    const shown = await ink(page);
    await page.goto("about:blank");
    await page.goto(link);
    await said(page, /Press Train/);
    assert.equal(await ink(page), shown);
    const values = await page.$$eval("[data-knob]", (knobs) => knobs.map((knob) => knob.value));
    assert.deepEqual(values, ["3", "8", "js", "0.5", "7"]);
    await close(page);
  });

  test("what a method does not read can't be set", async () => {
    const page = await open(browser, "#v=1&view=lab&method=flow&device=cpu");
    await said(page, /Ready/);
    const disabled = await page.$$eval("[data-knob]", (knobs) => knobs.filter((knob) => knob.disabled).map((knob) => knob.dataset.knob));
    assert.deepEqual(disabled.filter((name) => ["ratio", "divergence"].includes(name)), ["ratio", "divergence"]);
    assert.ok(!disabled.includes("rate") && !disabled.includes("seed"));
    await close(page);
  });
});
