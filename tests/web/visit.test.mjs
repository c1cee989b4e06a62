// What a visit fetches, keeps and survives: the offline copy, downloads that fail, models from elsewhere.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";

import { URL_, assertSamePictures, cut, launch, open, pixels, said } from "./browser.mjs";
import { ROOT, nativeOf, withoutClasses } from "./native.mjs";
import { built, serve, version } from "./server.mjs";

let browser;
const hosts = [];
before(async () => {
  browser = await launch({ webgpu: false });
});
after(async () => {
  await browser.close();
  await Promise.all(hosts.map((host) => host.close()));
});

/** A host of these files, until the tests are over. */
async function hosted(files) {
  const host = await serve(files);
  hosts.push(host);
  return host;
}

/** A page of a host of one's own, in a context that keeps service workers. */
async function visit(host, address = "") {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(host.url + address);
  await said(page, /16 pictures/);
  return page;
}

/** Waits for the copy of a version; its files. */
function copyOf(page, name) {
  return page.evaluate(async (name) => {
    for (;;) {
      for (const key of await caches.keys()) {
        const cache = await caches.open(key);
        const index = await (await cache.match("./"))?.text();
        const { active, installing, waiting } = (await navigator.serviceWorker.getRegistration()) ?? {};
        // The one that is active may be that of the version before, while the copy is still being made.
        const isMade = active?.state === "activated" && !installing && !waiting;
        if (isMade && index?.includes(name)) return (await cache.keys()).map(({ url }) => url);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }, name);
}

describe("the offline copy", () => {
  test("it waits for the first picture, and leaves out what this browser or visit does not need", async () => {
    const host = await hosted(built());
    const page = await visit(host);
    const files = await copyOf(page, "code-");
    const at = (end) => host.log.findIndex((path) => path.endsWith(end));
    assert.ok(at("sw.js") > at("_bg.wasm") && at("sw.js") > host.log.findIndex((path) => /generator/.test(path)), host.log.join(" "));
    assert.equal(files.filter((file) => file.endsWith("_bg.wasm")).length, 1, "one of the two modules");
    assert.ok(!files.some((file) => /denoiser|ratio/.test(file)), `weights of tabs that were not opened: ${files}`);
    assert.ok(files.some((file) => /generator/.test(file)));
    await page.context().close();
  });

  test("an update is kept whole although the page is kept by the browser, and draws without a network", async () => {
    const files = built();
    const host = await hosted(files);
    const page = await visit(host);
    await copyOf(page, "code-");
    host.files = version(files, "bbbb00000000");
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await copyOf(page, "code-bbbb00000000");
    await page.context().setOffline(true);
    await page.reload();
    await said(page, /16 pictures/);
    await page.context().close();
  });

  test("a tab that was open during an update says so, and reloads into what its host still has", async () => {
    const files = built();
    const host = await hosted(files);
    const page = await visit(host);
    await copyOf(page, "code-");
    host.files = version(files, "dddd00000000");
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await said(page, /new version of this page/);
    await page.click("#tab-lab");
    await said(page, /network gave nothing/);
    await page.click("text=Reload the page");
    await said(page, /Ready/);
    assert.ok(host.log.some((path) => path === "code-dddd00000000/main.js"));
    await page.context().close();
  });

  test("a host that still hands out the old page gets no copy of two versions", async () => {
    const files = built();
    const host = await hosted(files);
    const page = await visit(host);
    await copyOf(page, "code-");
    host.files = version(files, "cccc00000000").set("index.html", files.get("index.html"));
    await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      const done = new Promise((resolve) => {
        registration.addEventListener("updatefound", () => {
          registration.installing.addEventListener("statechange", ({ target }) => target.state === "redundant" && resolve());
        });
      });
      await registration.update();
      await done;
    });
    await page.context().setOffline(true);
    await page.reload();
    await said(page, /16 pictures/);
    await page.context().close();
  });
});

describe("downloads", () => {
  for (const file of ["worker.js", "onestep_bg.wasm"]) {
    test(`${file} that does not come is told in plain words, and can be tried again`, async () => {
      const context = await browser.newContext({ serviceWorkers: "block" });
      let fails = true;
      await context.route(`**/${file}`, (route) => (fails ? route.abort() : route.continue()));
      const page = await open(browser, "", { context });
      await said(page, /Check the connection and try again/);
      fails = false;
      await page.click("#again");
      await said(page, /16 pictures/);
      assert.ok(await page.isHidden("#again"));
      await context.close();
    });
  }

  // A script that another imports can't be asked for again without a new page.
  const reload = ["Try again", "Reload the page"];
  for (const [file, buttons] of [
    ["lab.js", ["Try again"]],
    ["lab.js", reload],
    ["scene.js", reload],
    ["strokes.js", reload],
    ["onestep-lab_bg.wasm", ["Try again"]],
    ["onestep-lab_bg.wasm", ["Try again", "Try again"]],
  ]) {
    test(`the laboratory opens by its button after ${file} did not come ${buttons.length === 1 ? "once" : "twice"}`, async () => {
      const context = await browser.newContext({ serviceWorkers: "block" });
      let fails = true;
      await context.route(({ pathname }) => pathname.endsWith(`/${file}`), (route) => (fails ? route.abort() : route.continue()));
      const page = await open(browser, "#v=1&n=1&device=cpu", { context });
      await said(page, /1 picture /);
      await page.click("#tab-lab");
      for (const [i, button] of buttons.entries()) {
        await said(page, /Check the connection and try again/);
        assert.equal(await page.textContent("#again"), button);
        fails = i + 1 < buttons.length;
        await page.click("#again");
      }
      await said(page, /Ready/);
      assert.ok(await page.isHidden("#again"));
      await context.close();
    });
  }
});

describe("a model from the address", () => {
  test("one of the page's own host is loaded when the visitor agrees, and draws as it does in the native program", async () => {
    const folder = mkdtempSync(join(tmpdir(), "onestep-offer-"));
    try {
      const model = withoutClasses(folder);
      const host = await hosted(built().set("models/mine.bin", gzipSync(readFileSync(model))));
      const page = await visit(host, "?model=models/mine.bin");
      await page.waitForFunction(() => /mine\.bin from this site \(\d.* MB\)/.test(document.getElementById("offer-text").textContent));
      await page.click("#offer-load");
      await page.waitForSelector("#offer", { state: "hidden" });
      assert.match(await page.textContent("#model-text"), /Now drawing: mine\.bin/);
      await page.click("#reroll");
      await said(page, /from seed 58 /);
      assertSamePictures(cut(await pixels(page, "#sample-canvas"), 16), nativeOf(model, "--seeds", "58-73"));
      await page.context().close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a bad one is told where the offer stands, and stays there", async () => {
    for (const [address, words] of [["http://example.com/a.safetensors", /starts with https:/], ["nothing-here.bin", /nothing-here\.bin/]]) {
      const page = await open(browser, `?model=${encodeURIComponent(address)}`, { serviceWorkers: "block" });
      await said(page, /16 pictures/);
      await page.waitForFunction(() => document.getElementById("offer-text").textContent !== "");
      assert.match(await page.textContent("#offer-text"), words);
      assert.ok(await page.isVisible("#offer"));
      await page.context().close();
    }
  });

  test("one that can't be used, or is given up at the last moment, leaves no bar and no other network", async () => {
    const good = readFileSync(join(ROOT, "assets/web/mnist-generator.safetensors"));
    const host = await hosted(built().set("models/bad.bin", Buffer.from("no model")).set("models/good.bin", good));
    const bad = await visit(host, "?model=models/bad.bin");
    await bad.click("#offer-load");
    await bad.waitForFunction(() => document.getElementById("offer-text").textContent.includes("can't be used"));
    assert.ok(await bad.isHidden("#loading"));
    await bad.context().close();
    const page = await visit(host, "?model=models/good.bin");
    await page.evaluate(() => {
      const { arrayBuffer } = Blob.prototype;
      Blob.prototype.arrayBuffer = function () {
        document.getElementById("offer-dismiss").click();
        return arrayBuffer.call(this);
      };
    });
    await page.click("#offer-load");
    await page.waitForSelector("#offer", { state: "hidden" });
    await page.click("#reroll");
    await said(page, /from seed 58 /);
    assert.equal(await page.textContent("#model-text"), "");
    assert.ok(await page.isHidden("#loading"));
    await page.context().close();
  });

  test("its host is named, and asked for nothing before the visitor agrees", async () => {
    const page = await open(browser, `?model=${encodeURIComponent("https://models.example/a.safetensors")}`, { serviceWorkers: "block" });
    await said(page, /16 pictures/);
    assert.match(await page.textContent("#offer-text"), /models\.example/);
    assert.deepEqual(page.requests.filter((url) => !url.startsWith(URL_) && !url.startsWith("blob:")), []);
    await page.context().close();
  });
});
