// What a visitor has on the screen: the picture first, words beside it, and nothing that jumps.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { URL_, agreement, assertSamePictures, close, cut, launch, open, pixels, said, withWorker } from "./browser.mjs";
import { ROOT, native, nativeOf, withoutClasses } from "./native.mjs";

const VIEWS = ["sample", "plane", "best", "race", "lab"];
const SAYS = { sample: /pictures from/, plane: /A map/, best: /candidates/, race: /35 evaluations took/, lab: /Ready/ };
const SIZES = [[1280, 800], [390, 844], [320, 640], [1920, 1080], [768, 1024]];
/** What was on the screen, to be looked at. */
const PICTURES = process.env.PICTURES ?? tmpdir();
/** Most of what a visitor sees may move without being asked to: the sum that browsers report. */
const CLS = 0.03;

let browser;
before(async () => {
  browser = await launch({ webgpu: false });
});
after(() => browser.close());

/** Adds up what moves although nobody has touched anything. */
function observe() {
  globalThis.moved = 0;
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput } of list.getEntries()) globalThis.moved += hadRecentInput ? 0 : value;
  }).observe({ type: "layout-shift", buffered: true });
}

/** Where the parts of a view end, and the words below its stage begin. */
const edges = (page, view) => page.evaluate((view) => {
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  const [stage, status, button] = [`#view-${view} .stage`, "#status", `#view-${view} .primary`].map(box);
  return { stage: stage.bottom, status: [status.top, status.bottom], button: button.bottom, top: stage.top };
}, view);

describe("the first screen", () => {
  for (const [width, height] of SIZES) {
    test(`the picture, its words and its button are there at ${width} x ${height}, and nothing jumps`, async () => {
      const context = await browser.newContext({ viewport: { width, height } });
      await context.addInitScript(observe);
      const page = await open(browser, "#v=1&device=cpu", { context });
      for (const view of VIEWS) {
        if (view !== "sample") await page.click(`#tab-${view}`);
        await said(page, SAYS[view]);
        await page.evaluate(() => scrollTo(0, 0));
        const { stage, status, button } = await edges(page, view);
        assert.ok(stage <= height, `${view}: the stage ends at ${stage}`);
        assert.ok(status[0] - stage < 40 && status[0] >= stage, `${view}: the stage ends at ${stage}, the words begin at ${status[0]}`);
        assert.ok(status[1] <= height, `${view}: the words end at ${status[1]}`);
        assert.ok(button <= height, `${view}: the button ends at ${button}`);
        await page.screenshot({ path: join(PICTURES, `page-${view}-${width}x${height}.png`) });
      }
      const moved = await page.evaluate(() => moved);
      assert.ok(moved < CLS, `${moved} has moved by itself`);
      await close(page);
    });
  }

  test("the heading is small after another tab was opened, and leaves its room to the picture", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu", { viewport: { width: 390, height: 844 } });
    await said(page, /4 pictures/);
    const before = await edges(page, "sample");
    await page.click("#tab-plane");
    await page.click("#tab-sample");
    const now = await edges(page, "sample");
    assert.ok(now.top < before.top - 60, `the stage began at ${before.top}, now at ${now.top}`);
    assert.ok(await page.isHidden(".lead"));
    assert.match(await page.title(), /^Draw/);
    await close(page);
  });

  test("what is fetched is told on the stage, in words and megabytes", async () => {
    const context = await browser.newContext({ serviceWorkers: "block" });
    let arrive;
    const arrived = new Promise((resolve) => (arrive = resolve));
    await context.route("**/models/mnist-generator*", async (route) => {
      await arrived;
      await route.continue();
    });
    const page = await open(browser, "#v=1&n=4&device=cpu", { context });
    await page.waitForFunction(() => /^Fetching the network, \d\.\d of \d\.\d MB$/.test(document.getElementById("loading-text").textContent));
    const [stage, words] = await Promise.all(["#view-sample .stage", "#loading"].map((selector) => page.locator(selector).boundingBox()));
    assert.ok(words.y >= stage.y && words.y + words.height <= stage.y + stage.height + 1, "the words are on the stage");
    arrive();
    await said(page, /4 pictures/);
    assert.ok(await page.isHidden("#loading"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("without JavaScript there is a picture and a word why, and no dead buttons", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await open(browser, "", { context });
    assert.ok(await page.isVisible("noscript img"));
    assert.match(await page.textContent("noscript p:last-child"), /needs JavaScript/);
    for (const selector of ["#reroll", "#tab-plane", "#file", "#device"]) assert.ok(await page.isHidden(selector), selector);
    await close(page);
  });

  test("in forced colours the legend keeps its colours, and one tab is underlined", async () => {
    const page = await open(browser, "#v=1&view=lab&data=drawing&device=cpu", { forcedColors: "active" });
    await said(page, /Draw a shape/);
    const style = (selector, name) => page.$eval(selector, (element, name) => getComputedStyle(element)[name], name);
    assert.notEqual(await style(".swatch.real", "backgroundColor"), await style(".swatch.gradient", "backgroundColor"));
    assert.equal(await style("#tab-sample", "borderBottomColor"), await style("body", "backgroundColor"));
    assert.notEqual(await style("#tab-lab", "borderBottomColor"), await style("#tab-sample", "borderBottomColor"));
    await close(page);
  });

  test("on paper there are pictures and words, and nothing to press or to fill in", async () => {
    const [model] = readdirSync(join(ROOT, "web/dist/models"));
    const page = await open(browser, `?model=models/${model}#v=1&n=4&device=cpu`);
    const controls = ["button", "input", "select", "summary", "#offer"].map((name) => `${name}:visible`).join();
    await page.waitForSelector("#offer");
    for (const view of VIEWS) {
      await page.emulateMedia({ media: "screen" });
      await page.click(`#tab-${view}`);
      await said(page, SAYS[view]);
      await page.emulateMedia({ media: "print" });
      assert.deepEqual(await page.$$eval(controls, (all) => all.map(({ outerHTML }) => outerHTML)), [], view);
      assert.ok(await page.isVisible(`#view-${view} canvas >> nth=0`), view);
    }
    await close(page);
  });

  test("a shared link has a title and a picture, and the page says where its source is", async () => {
    const page = await open(browser, "#v=1&n=1&device=cpu");
    const [, repository] = /^repository = "(.+)"$/m.exec(readFileSync(join(ROOT, "Cargo.toml"), "utf8"));
    const content = (name) => page.getAttribute(`meta[property="og:${name}"]`, "content");
    assert.match(await content("title"), /onestep/);
    const card = await page.request.get(new URL(await content("image"), URL_).href);
    assert.equal(card.status(), 200);
    assert.equal((await card.body()).toString("latin1", 1, 4), "PNG");
    assert.ok((await page.locator(`a[href="${repository}"]`).count()) > 0);
    await said(page, /1 picture /);
    await close(page);
  });
});

describe("keys and fields", () => {
  test("a seed that was typed is drawn, not the one after it", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu");
    await said(page, /from seed 42/);
    for (const [typed, seed] of [["1000", 1000], ["-5", 0], ["3.7", 3], ["99999999999", 4294967295]]) {
      await page.fill("#seed", typed);
      await page.click("#reroll");
      await said(page, new RegExp(`from seed ${seed} `));
      assert.equal(new URLSearchParams(new URL(page.url()).hash.slice(1)).get("seed"), String(seed));
      assert.equal(await page.inputValue("#seed"), String(seed));
    }
    await page.click("#reroll");
    await said(page, /from seed 3 /);
    await page.fill("#seed", "");
    await page.press("#seed", "Enter");
    assert.equal(await page.inputValue("#seed"), "3");
    await close(page);
  });

  test("R draws after its button was pressed, and Space trains after the tab was", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu");
    await said(page, /from seed 42/);
    await page.click("#reroll");
    await said(page, /from seed 46/);
    await page.keyboard.press("r");
    await said(page, /from seed 50/);
    await page.click("#tab-lab");
    await said(page, /Ready/);
    await page.keyboard.press("Space");
    await said(page, /Training/);
    await page.keyboard.press("Space");
    await said(page, /Paused after/);
    await close(page);
  });

  test("the history has one entry for a walk along the tabs", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu");
    await said(page, /4 pictures/);
    const start = await page.evaluate(() => history.length);
    await page.focus("#tab-sample");
    for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
    await page.waitForURL(/view=lab/);
    assert.ok((await page.evaluate(() => history.length)) <= start + 1);
    await close(page);
  });
});

describe("a visitor's own generator", () => {
  test("its file is unpacked, what judges digits is out of reach, and there is a way back", async () => {
    const models = join(ROOT, "web/dist/models");
    const packed = readdirSync(models).find((name) => name.startsWith("mnist-generator"));
    const page = await open(browser, "#v=1&n=4&view=lab&data=drawing&device=cpu");
    await said(page, /Draw a shape/);
    await page.setInputFiles("#file", { name: packed, mimeType: "application/octet-stream", buffer: readFileSync(join(models, packed)) });
    await page.waitForFunction((name) => document.getElementById("model-text").textContent.includes(name), packed);
    await page.focus("#tab-lab");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-plane");
    await page.evaluate(() => (location.hash = "#v=1&n=4&view=best&device=cpu"));
    await said(page, /4 pictures/);
    assert.ok(await page.isHidden("#view-best"));
    await page.waitForFunction(() => !/view=/.test(location.hash));
    await page.click("#back");
    await page.click("#tab-best");
    await said(page, /16 candidates/);
    assert.equal(await page.textContent("#model-text"), "");
    await close(page);
  });

  test("a judge or a denoiser that is refused does not judge or draw", async () => {
    const shipped = (role) => join(ROOT, `assets/web/mnist-${role}.safetensors`);
    /** The network with all signs turned, which says other things. */
    const turned = (role) => {
      const bytes = readFileSync(shipped(role));
      for (let i = 8 + Number(bytes.readBigUInt64LE()) + 1; i < bytes.length; i += 2) bytes[i] ^= 0x80;
      return { name: `${role}.safetensors`, mimeType: "application/octet-stream", buffer: bytes };
    };
    const page = await open(browser, "#v=1&view=best&best=8&seed=3&device=cpu");
    await said(page, /8 candidates/);
    const scores = () => page.$$eval("#ranking li", (items) => items.map((item) => item.textContent));
    const old = await scores();
    await page.setInputFiles("#file", turned("ratio"));
    await said(page, /holds a ratio/);
    await page.click("#best-reroll");
    const others = await said(page, /8 candidates/);
    await page.goBack();
    await page.waitForFunction((words) => document.getElementById("status").textContent !== words, others);
    assert.deepEqual(await scores(), old);
    await page.click("#tab-race");
    await said(page, SAYS.race);
    await page.setInputFiles("#file", turned("denoiser"));
    await said(page, /holds a denoiser/);
    await page.click("#race-go");
    await said(page, SAYS.race);
    assertSamePictures(cut(await pixels(page, "#race-many"), 4), nativeOf(shipped("denoiser"), "--seeds", "7-10"));
    await close(page);
  });

  test("one that does not fit leaves the one before at work", async () => {
    // As the engine does it: what was there is gone when the new one turns out to be too large.
    const context = await withWorker(browser, `
      const post = self.postMessage.bind(self);
      let huge;
      self.addEventListener("message", ({ data }) => {
        if (data.args[0] !== "huge.safetensors") return;
        huge = data.id;
        Object.assign(data, { method: "open", args: ["cpu"] });
      });
      self.postMessage = (message) => post(message.id === huge ? { id: huge, error: { name: "TooLarge", message: "" } } : message);`);
    const page = await open(browser, "#v=1&n=4&device=cpu", { context });
    await said(page, /4 pictures/);
    await page.setInputFiles("#file", { name: "huge.safetensors", mimeType: "application/octet-stream", buffer: Buffer.alloc(8) });
    await said(page, /too large for the device/);
    await page.click("#reroll");
    await said(page, /from seed 46/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "46-49"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("it stays when the shipped one comes late", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onestep-late-"));
    try {
      const model = withoutClasses(folder);
      const context = await browser.newContext({ serviceWorkers: "block" });
      let arrive;
      const arrived = new Promise((resolve) => (arrive = resolve));
      await context.route("**/models/mnist-generator*", async (route) => {
        await arrived;
        await route.continue();
      });
      const page = await open(browser, "#v=1&n=4&device=cpu", { context });
      await page.setInputFiles("#file", model);
      await page.waitForFunction(() => document.getElementById("model-text").textContent.startsWith("Now drawing"));
      arrive();
      await said(page, /from seed 42/);
      assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), nativeOf(model, "--seeds", "42-45"));
      await page.click("#reroll");
      await said(page, /from seed 46/);
      assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), nativeOf(model, "--seeds", "46-49"));
      await close(page, [/Service Worker registration blocked/]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("of its classes one can be asked for in every view, by the field or the address", async () => {
    const page = await open(browser, "#v=1&n=4&class=3&device=cpu");
    await said(page, /4 pictures/);
    const drawn = async (canvas) => cut(await pixels(page, canvas), 4);
    assert.deepEqual(await page.locator("#class option").allTextContents(), ["any", ...Array(10).keys()].map(String));
    assert.equal(await page.inputValue("#class"), "3");
    assertSamePictures(await drawn("#sample-canvas"), native("--seeds", "42-45", "--class", "3"));
    for (const [chosen, seed, flags] of [["any", 46, []], ["8", 50, ["--class", "8"]]]) {
      await page.selectOption("#class", chosen);
      await page.click("#reroll");
      await said(page, new RegExp(`from seed ${seed} `));
      assertSamePictures(await drawn("#sample-canvas"), native("--seeds", `${seed}-${seed + 3}`, ...flags));
    }
    assert.match(page.url(), /class=8/);
    const eights = native("--seeds", "50-53", "--class", "8");
    assert.ok(agreement(eights, native("--seeds", "50-53", "--class", "3")).share < 0.9, "classes that look alike prove nothing");
    await page.click("#tab-plane");
    await said(page, /A map/);
    assertSamePictures(cut(await pixels(page, "#plane-map"), 36).slice(0, 1), eights.slice(0, 1));
    await page.click("#tab-best");
    await said(page, /16 candidates/);
    const ratio = join(ROOT, "assets/web/mnist-ratio.safetensors");
    const kept = native("--seeds", "50", "--class", "8", "--best-of", "16", "--ratio", ratio);
    assertSamePictures([(await pixels(page, "#ranking canvas")).grey], kept);
    await page.click("#tab-race");
    await said(page, /35 evaluations took/);
    assertSamePictures(await drawn("#race-one"), eights);
    const denoiser = join(ROOT, "assets/web/mnist-denoiser.safetensors");
    assertSamePictures(await drawn("#race-many"), nativeOf(denoiser, "--seeds", "50-53", "--class", "8"));
    await close(page);
  });

  test("a model without classes is asked for none", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onestep-classes-"));
    try {
      const model = withoutClasses(folder);
      const page = await open(browser, "#v=1&n=4&class=3&device=cpu");
      await said(page, /4 pictures/);
      await page.setInputFiles("#file", model);
      await page.waitForSelector("#class", { state: "hidden" });
      await said(page, /4 pictures/);
      assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), nativeOf(model, "--seeds", "42-45"));
      await page.click("#back");
      await page.waitForSelector("#class");
      assert.equal(await page.inputValue("#class"), "3");
      await close(page);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
