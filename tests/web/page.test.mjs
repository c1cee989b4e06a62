// The visitor's page in Chromium: on WebGPU (SwiftShader) and without it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { URL_, agreement, assertSamePictures, close, cut, launch, open, pixels, said, withWorker } from "./browser.mjs";
import { ROOT, native, nativeOf } from "./native.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The laboratory has learned when the divergence is this part of what it was. */
const LEARNED = 0.7;
/** Milliseconds for pages on a software adapter. */
const SLOW = 400_000;

/** Lets the software adapter pass for a card, so that `device=auto` takes it: nobody has asked for it by name. */
const CARD = `
  Object.defineProperty(GPUAdapter.prototype, "info", { get: () => ({ vendor: "Tests", description: "card" }) });
  Object.defineProperty(GPUAdapter.prototype, "isFallbackAdapter", { get: () => false });`;

/** The candidates of a seed are ranked, and the first is the one that the native program keeps. */
async function assertRanking(page, seed, candidates) {
  const scores = await page.$$eval("#ranking li", (items) => items.map((item) => Number(item.textContent)));
  assert.equal(scores.length, candidates);
  assert.deepEqual(scores, scores.toSorted((a, b) => b - a));
  const ratio = join(ROOT, "assets/web/mnist-ratio.safetensors");
  const kept = native("--seeds", String(seed), "--best-of", String(candidates), "--ratio", ratio);
  assertSamePictures([(await pixels(page, "#ranking canvas")).grey], kept);
}

/** Training lowers the divergence to `LEARNED` of what it was. */
async function assertLearns(page, start) {
  await start();
  await page.waitForFunction(() => Number(document.getElementById("lab-kl").textContent) > 0);
  const first = Number(await page.textContent("#lab-kl"));
  assert.ok(first > 0.5, `a divergence of ${first} at the start leaves nothing to learn`);
  await page.waitForFunction((wanted) => Number(document.getElementById("lab-kl").textContent) < wanted, LEARNED * first);
}

describe("on WebGPU", () => {
  let browser;
  let page;
  before(async () => {
    browser = await launch({ webgpu: true });
  });
  after(() => browser.close());

  // One page for several tests: a software adapter takes long to compile a network's kernels.
  test("samples are the native program's", async () => {
    page = await open(browser, "#v=1&device=gpu&seed=42&n=16", { timeout: SLOW });
    await said(page, /16 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /WebGPU/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 16), native("--seeds", "42-57"));
    await page.click("#reroll");
    await said(page, /from seed 58/);
    assert.match(page.url(), /seed=58/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 16), native("--seeds", "58-73"));
    await page.goBack();
    await said(page, /from seed 42/);
  });

  test("the best of several candidates is the native program's choice", async () => {
    await page.click("#tab-best");
    await said(page, /16 candidates/);
    await assertRanking(page, 42, 16);
  });

  test("a lost device is opened again", async () => {
    await page.evaluate(() => onestep.lose());
    await page.click("#tab-sample");
    await page.click("#reroll");
    await said(page, /from seed 58 on/);
    assert.match(await page.textContent("#device-name"), /WebGPU/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 16), native("--seeds", "58-73"));
    await close(page, [/lost|destroyed/i]);
  });

  test("the processor draws until the graphics card is ready", async () => {
    const context = await withWorker(browser, CARD);
    const page = await open(browser, "#v=1&seed=42&n=4", { context, timeout: SLOW });
    await said(page, /4 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /processor · for the moment/);
    assert.match(await page.getAttribute("#device", "title"), /graphics card is being prepared/);
    assert.ok(await page.isHidden("#note"));
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "42-45"));
    await page.waitForFunction(() => /WebGPU/.test(document.getElementById("device-name").textContent));
    assert.equal(await page.getAttribute("#device", "title"), "");
    await page.click("#reroll");
    await said(page, /4 pictures from seed 46/);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "46-49"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("a download that fails while the graphics card is being prepared can be tried again", async () => {
    const context = await withWorker(browser, CARD);
    let failures = 0;
    await context.route("**/models/mnist-generator*", (route) => (failures++ ? route.continue() : route.abort()));
    const page = await open(browser, "#v=1&seed=42&n=4", { context, timeout: SLOW });
    await said(page, /network gave nothing/);
    await page.click("#reroll");
    await said(page, /4 pictures from seed 46/);
    await close(page, [/Service Worker registration blocked/, /ERR_FAILED/]);
  });

  test("a graphics card that computes nonsense is found out, and the processor draws", async () => {
    // Whatever is read back is wrong.
    const context = await withWorker(browser, `
      const { getMappedRange } = GPUBuffer.prototype;
      GPUBuffer.prototype.getMappedRange = function (...args) {
        const range = getMappedRange.apply(this, args);
        if (this.usage & GPUBufferUsage.MAP_READ) new Float32Array(range).fill(0.125);
        return range;
      };`);
    const page = await open(browser, "#v=1&device=gpu&seed=42&n=4", { context, timeout: SLOW });
    await said(page, /4 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /processor/);
    assert.match(await page.textContent("#note"), /wrong results.*processor/s);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "42-45"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("kernels that do not compile hand over to the processor", async () => {
    const context = await withWorker(browser, `
      const { createShaderModule } = GPUDevice.prototype;
      GPUDevice.prototype.createShaderModule = function (descriptor) {
        return createShaderModule.call(this, { ...descriptor, code: descriptor.code + "fn unknown(" });
      };`);
    const page = await open(browser, "#v=1&device=gpu&seed=42&n=4", { context, timeout: SLOW });
    await said(page, /4 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /processor/);
    assert.match(await page.textContent("#note"), /could not be used.*browser said: ./s);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "42-45"));
    await close(page, [/Service Worker registration blocked/, /WGSL|ShaderModule|ComputePipeline|CommandBuffer/]);
  });

  test("a graphics card without memory for the weights hands over to the processor", async () => {
    // The canary fits into a megabyte, the weights don't. A real device answers so, too: with a buffer that is an
    // error, and an event.
    const context = await withWorker(browser, `
      const { createBuffer } = GPUDevice.prototype;
      GPUDevice.prototype.createBuffer = function (descriptor) {
        if (descriptor.size > 1e6) {
          const error = new GPUOutOfMemoryError("Out of memory");
          queueMicrotask(() => this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error })));
        }
        return createBuffer.call(this, descriptor);
      };`);
    const page = await open(browser, "#v=1&device=gpu&seed=42&n=4", { context, timeout: SLOW });
    await said(page, /4 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /processor/);
    assert.match(await page.textContent("#note"), /too little memory.*processor/s);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "42-45"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("every kernel compiles in the browser", async () => {
    const cases = readFileSync(process.env.SHADERS, "utf8").split("\0").slice(0, -1);
    assert.ok(cases.length > 1000, `only ${cases.length} shaders`);
    const page = await open(browser, "#v=1&device=cpu&n=1", { timeout: SLOW });
    await said(page, /1 picture /);
    const wrong = await page.evaluate(async (cases) => {
      const adapter = await navigator.gpu.requestAdapter();
      const device = await adapter.requestDevice();
      // Messages reach the console, too, which has to stay quiet.
      device.pushErrorScope("validation");
      const errors = async (code) => {
        const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
        return messages.filter(({ type }) => type === "error").map(({ message }) => message);
      };
      const wrong = [];
      for (const text of cases) {
        const end = text.indexOf("\n");
        for (const message of await errors(text.slice(end + 1))) wrong.push(`${text.slice(0, end)}: ${message}`);
      }
      if ((await errors("fn main() -> f32 { return 1u; }")).length === 0) wrong.push("a wrong shader was not noticed");
      await device.popErrorScope();
      device.destroy();
      return wrong;
    }, cases);
    assert.deepEqual(wrong.slice(0, 10), []);
    await close(page, [/error: return statement type|WGSL|ShaderModule/]);
  });

  test("the laboratory learns", async () => {
    const page = await open(browser, "#v=1&device=gpu&view=lab&data=two-moons", { timeout: SLOW });
    await said(page, /Ready/);
    assert.match(await page.textContent("#device-name"), /WebGPU/);
    await assertLearns(page, () => page.click("#lab-play"));
    await close(page);
  });
});

describe("without WebGPU", () => {
  let browser;
  before(async () => {
    browser = await launch({ webgpu: false });
  });
  after(() => browser.close());

  test("the processor draws the same pictures, and the page says why", async () => {
    const page = await open(browser, "#v=1&seed=42&n=16");
    await said(page, /16 pictures from seed 42/);
    assert.match(await page.textContent("#device-name"), /processor/);
    assert.match(await page.textContent("#note"), /WebGPU.*processor/s);
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 16), native("--seeds", "42-57"));
    await close(page);
  });

  test("a browser without vector instructions draws them, too", async () => {
    // The Worker asks before it chooses a module.
    const context = await withWorker(browser, "WebAssembly.validate = () => false;");
    const page = await open(browser, "#v=1&seed=42&n=4&device=cpu", { context });
    await said(page, /4 pictures from seed 42/);
    assert.ok(page.requests.some((url) => url.includes("onestep-scalar")) , "the module without vectors was loaded");
    assertSamePictures(cut(await pixels(page, "#sample-canvas"), 4), native("--seeds", "42-45"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("the best of several candidates is the native program's choice", async () => {
    const page = await open(browser, "#v=1&view=best&best=8&seed=3");
    await said(page, /8 candidates/);
    await assertRanking(page, 3, 8);
    await close(page);
  });

  test("corners of the plane are seeds, and dragging changes the picture", async () => {
    const page = await open(browser, "#v=1&view=plane&seed=10&x=0&y=0");
    await said(page, /A map of 36 pictures/);
    const corner = (await pixels(page, "#plane-canvas")).grey;
    assertSamePictures([corner], native("--seeds", "10"));
    const box = await page.locator("#pad").boundingBox();
    await page.mouse.move(box.x + 5, box.y + 5);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.5, { steps: 3 });
    await page.mouse.up();
    await page.waitForFunction(() => /6\d % across/.test(document.getElementById("plane-canvas").getAttribute("aria-label")));
    // The address follows when the finger rests.
    await page.waitForFunction(() => /x=0\.6/.test(location.hash));
    const { share } = agreement([(await pixels(page, "#plane-canvas")).grey], [corner]);
    assert.ok(share < 0.98, "the picture has changed");
    await close(page);
  });

  test("35 evaluations are counted, and end in another picture", async () => {
    const page = await open(browser, "#v=1&view=race");
    await said(page, /35 evaluations took/);
    assert.equal(await page.textContent("#race-many-count"), "35 evaluations");
    assert.equal(await page.textContent("#race-one-count"), "1 evaluation");
    const [one, many] = [await pixels(page, "#race-one"), await pixels(page, "#race-many")];
    assert.ok(agreement(cut(many, 4), cut(one, 4)).share < 0.99, "two ways give two pictures");
    await close(page);
  });

  test("a race is on one device, the card, and begins anew when that is lost in the middle", async () => {
    // This card is the processor. It loses its device before the fifth state.
    const context = await withWorker(browser, `
      Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => ({ info: { vendor: "Tests" } }) } });
      const post = self.postMessage.bind(self);
      let left = 5;
      self.postMessage = (message) => {
        const lost = message.result?.evaluations && --left === 0;
        post(lost ? { id: message.id, error: { name: "DeviceLost", message: "" } } : message);
      };`, (own) => own.replace("Engine.open(kind)", 'Engine.open("cpu")'));
    // The first Worker is that of the card, which is not ready before `release`.
    await context.addInitScript(() => {
      const { postMessage } = Worker.prototype;
      let [card, held] = [undefined, []];
      globalThis.release = () => {
        for (const call of held) call();
        held = undefined;
      };
      Worker.prototype.postMessage = function (message) {
        card ??= this;
        const call = () => postMessage.call(this, message);
        if (held && this === card && message.method === "load") held.push(call);
        else call();
      };
    });
    const page = await open(browser, "#v=1&view=race", { context });
    await page.waitForFunction(() => document.getElementById("race-one-count").textContent === "1 evaluation");
    assert.match(await page.textContent("#device-name"), /for the moment/);
    assert.equal(await page.textContent("#race-one-ms"), "\u2013", "the processor's time is not the card's");
    await page.evaluate(() => release());
    await said(page, /35 evaluations took .* lost for a moment/);
    assert.match(await page.textContent("#device-name"), /Tests/);
    assert.equal(await page.getAttribute("#film-range", "max"), "18");
    const denoiser = join(ROOT, "assets/web/mnist-denoiser.safetensors");
    assertSamePictures(cut(await pixels(page, "#race-many"), 4), nativeOf(denoiser, "--seeds", "42-45"));
    await close(page, [/Service Worker registration blocked/]);
  });

  test("the laboratory learns a drawing", async () => {
    const page = await open(browser, "#v=1&view=lab&data=drawing&device=cpu");
    await said(page, /Draw a shape/);
    const box = await page.locator("#lab-canvas").boundingBox();
    await page.mouse.move(box.x + box.width * 0.25, box.y + box.height * 0.3);
    await page.mouse.down();
    for (let i = 1; i <= 8; i++) await page.mouse.move(box.x + box.width * (0.25 + i * 0.06), box.y + box.height * (0.3 + 0.05 * (i % 3)));
    await page.mouse.up();
    await said(page, /Press Train/);
    await assertLearns(page, () => page.keyboard.press("Space"));
    await page.keyboard.press("Space");
    await said(page, /Paused after \d+ updates/);
    const steps = Number((await page.textContent("#lab-steps")).replace(",", ""));
    await page.click("#lab-generator");
    await page.waitForFunction((steps) => Number(document.getElementById("lab-steps").textContent.replace(",", "")) === steps + 1, steps);
    await close(page);
  });

  test("the laboratory offers the methods, and trains another", async () => {
    const page = await open(browser, "#v=1&view=lab&data=gaussians8&method=flow&device=cpu");
    await said(page, /Ready/);
    const methods = await page.$$eval("#lab-method option", (options) => options.map((option) => option.value));
    assert.ok(methods.length > 8 && methods.includes("diffratio") && methods.includes("meanflow"), methods.join(" "));
    assert.match(await page.textContent("#lab-about"), /straight lines/);
    assert.equal(await page.textContent("#lab-updates"), "One flow step");
    assert.ok(!(await page.isVisible("#lab-meter")) && !(await page.isVisible("#lab-story")), "what only DiffRatio has");
    await page.click("#lab-flow");
    await page.waitForFunction(() => document.getElementById("lab-steps").textContent === "1");
    await page.selectOption("#lab-method", "vsd");
    await page.waitForFunction(() => document.getElementById("lab-updates").textContent === "One warmup step");
    await said(page, /Ready/);
    await assertLearns(page, () => page.keyboard.press("Space"));
    assert.match(page.url(), /method=vsd/);
    assert.ok(page.requests.every((url) => !/onestep_bg/.test(url)), "the module that draws pictures is not loaded");
    await close(page);
  });

  test("a corrupt, a foreign and a huge model are refused in plain words, and the page goes on", async () => {
    const page = await open(browser, "#v=1&seed=9&n=4&device=cpu");
    await said(page, /4 pictures/);
    const good = readFileSync(join(ROOT, "assets/web/mnist-generator.safetensors"));
    const give = (name, buffer) => page.setInputFiles("#file", { name, mimeType: "application/octet-stream", buffer });
    await give("cut.safetensors", good.subarray(0, good.length / 2));
    await said(page, /cut\.safetensors: is cut off/);
    await give("picture.safetensors", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 0, 0, 0]));
    await said(page, /PNG/);
    const bad = Buffer.from(good);
    bad.fill(0xff, bad.length - 64);
    await give("nan.safetensors", bad);
    await said(page, /NaN/);
    await give("ratio.safetensors", readFileSync(join(ROOT, "assets/web/mnist-ratio.safetensors")));
    await said(page, /holds a ratio/);
    await page.click("#reroll");
    await said(page, /from seed 13 on/);
    await give("mine.safetensors", good);
    await page.waitForFunction(() => /mine\.safetensors/.test(document.getElementById("model-text").textContent));
    await close(page);
  });

  test("parts can be hidden, and the keyboard reaches everything", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu&hide=race,seed,about");
    await said(page, /4 pictures/);
    for (const [selector, visible] of [["#tab-race", false], ["#seed", false], ["#about-title", false], ["#tab-lab", true], ["#n", true]]) {
      assert.equal(await page.isVisible(selector), visible, selector);
    }
    await page.keyboard.press("r");
    await said(page, /from seed 46 on/);
    await page.focus("#tab-sample");
    await page.keyboard.press("ArrowRight");
    await said(page, /A map of 36 pictures/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-plane");
    await close(page);
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`axe-core finds no serious problem (${colorScheme})`, async () => {
      // axe is injected by the debugger, past the page's own policy.
      const page = await open(browser, "#v=1&n=4&device=cpu", { colorScheme, bypassCSP: true, reducedMotion: "reduce" });
      await said(page, /4 pictures/);
      await page.evaluate(axe);
      for (const view of ["sample", "plane", "best", "race", "lab"]) {
        await page.click(`#tab-${view}`);
        await page.waitForFunction((view) => !document.getElementById(`view-${view}`).hidden, view);
        const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
        const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`), [], view);
      }
      await close(page);
    });
  }

  test("nothing is cut off from 320 pixels to 4K", async () => {
    for (const [width, height] of [[320, 640], [768, 1024], [3840, 2160]]) {
      const page = await open(browser, "#v=1&n=4&device=cpu", { viewport: { width, height } });
      await said(page, /4 pictures/);
      for (const view of ["sample", "plane", "best", "race", "lab"]) {
        await page.click(`#tab-${view}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0, `${view} at ${width} pixels is too wide`);
      }
      await close(page);
    }
  });

  test("the content security policy holds", async () => {
    const page = await open(browser, "#v=1&n=4&device=cpu");
    await said(page, /4 pictures/);
    const stranger = "http://127.0.0.1:9/x.png";
    const blocked = await page.evaluate(async (stranger) => {
      const violations = [];
      document.addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
      const script = document.createElement("script");
      script.textContent = "globalThis.injected = true";
      document.body.append(script);
      const image = new Image();
      image.src = stranger;
      document.body.append(image);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return { violations, injected: globalThis.injected ?? false };
    }, stranger);
    assert.equal(blocked.injected, false);
    assert.deepEqual(blocked.violations.toSorted(), ["img-src", "script-src-elem"]);
    // The browser tells of the request that it has blocked.
    await close(page, [/Content Security Policy/], [stranger]);
  });
});
