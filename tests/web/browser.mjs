// What the tests share: a browser per way of computing, and pages that may not complain.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

export const URL_ = process.env.PAGE_URL ?? "http://localhost:8080/";
/** Of all pixels, this many must be within one grey level of the native program's. */
const SHARE = 0.999;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

const QUIET = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
// Chromium's own software adapter: slow, and stricter than most drivers.
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/** A browser; without WebGPU, `navigator.gpu` exists and gives no adapter. */
export function launch({ webgpu }) {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: false, // the old headless mode, which Playwright would ask for, has no WebGPU
    args: ["--headless=new", ...QUIET, ...(webgpu ? WEBGPU : [])],
  });
}

/** A fresh page whose complaints are collected: `page.complaints`. */
export async function open(browser, address = "", options = {}) {
  const context = options.context ?? (await browser.newContext({ ...options, timeout: undefined }));
  const page = await context.newPage();
  page.complaints = [];
  page.requests = [];
  page.on("console", (message) => {
    // The tests read canvases, the page does not.
    if (message.text().includes("willReadFrequently")) return;
    if (message.type() === "error" || message.type() === "warning") page.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.complaints.push(`uncaught: ${error.message}`));
  page.on("request", (request) => page.requests.push(request.url()));
  page.setDefaultTimeout(options.timeout ?? 120_000);
  await page.goto(URL_ + address);
  return page;
}

/** Waits until the live region says something that matches, and returns it. */
export async function said(page, pattern) {
  await page.waitForFunction(
    ([source, flags]) => new RegExp(source, flags).test(document.getElementById("status").textContent),
    [pattern.source, pattern.flags],
  );
  return page.textContent("#status");
}

/** Grey levels of a canvas, row by row. */
export function pixels(page, selector) {
  return page.evaluate((selector) => {
    const canvas = document.querySelector(selector);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return { width: canvas.width, height: canvas.height, grey: Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]) };
  }, selector);
}

/** Cuts a grid of 28 x 28 pictures with the page's gap of two pixels into pictures. */
export function cut({ width, grey }, count, side = 28, gap = 2) {
  const columns = Math.ceil(Math.sqrt(count));
  return Array.from({ length: count }, (_, i) => {
    const [left, top] = [(i % columns) * (side + gap), Math.floor(i / columns) * (side + gap)];
    return Array.from({ length: side * side }, (_, p) => grey[(top + Math.floor(p / side)) * width + left + (p % side)]);
  });
}

/** Share of pixels within one grey level, and the largest difference. Refuses trivial pictures. */
export function agreement(got, wanted) {
  if (got.length === 0 || got.length !== wanted.length) throw new Error(`${got.length} pictures against ${wanted.length}`);
  let [close, all, worst] = [0, 0, 0];
  for (const [i, picture] of wanted.entries()) {
    if (got[i].length !== picture.length) throw new Error(`picture ${i} has ${got[i].length} pixels, not ${picture.length}`);
    if (new Set(picture).size < 10) throw new Error(`picture ${i} is almost empty: the comparison proves nothing`);
    for (const [p, level] of picture.entries()) {
      const difference = Math.abs(got[i][p] - level);
      worst = Math.max(worst, difference);
      close += difference <= 1;
      all += 1;
    }
  }
  return { share: close / all, worst };
}

/** Refuses pictures of another program that differ by more than rounding. */
export function assertSamePictures(got, wanted) {
  const { share, worst } = agreement(got, wanted);
  assert.ok(share >= SHARE, `only ${100 * share} % of the pixels agree; the largest difference is ${worst} grey levels`);
}

/** A context in whose Worker this code runs first; its own may be changed. */
export async function withWorker(browser, code, change = (own) => own) {
  const context = await browser.newContext({ serviceWorkers: "block" });
  await context.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${code}\n${change(await response.text())}` });
  });
  return context;
}

/** Closes a page that must not have complained, nor asked anybody else for anything. */
export async function close(page, allowed = [], known = []) {
  const strangers = page.requests.filter((url) => !url.startsWith(URL_) && !url.startsWith("blob:") && !known.includes(url));
  const complaints = page.complaints.filter((text) => !allowed.some((pattern) => pattern.test(text)));
  await page.context().close();
  assert.deepEqual(strangers, [], "requests to third parties");
  assert.deepEqual(complaints, [], "complaints in the console");
}
