// `cargo xtask bench web`: this engine and onnxruntime-web with the same generator, in one browser.
// Contestants take turns, so that whatever else the machine does meets all of them.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadavg } from "node:os";
import { gzipSync } from "node:zlib";

import { agreement, launch } from "../browser.mjs";
import { native, numpy } from "../native.mjs";
import { CONTESTANTS, report } from "./report.mjs";

const { BENCH_URL, BENCH_FOLDER, BENCH_CODE, BENCH_CASES, BENCH_REPORT } = process.env;
const BATCHES = [1, 16, 64];
/** Turns of each contestant and batch, after one that is thrown away. */
const TURNS = Number(process.env.BENCH_TURNS ?? 5);
/** Cold starts of each contestant. */
const STARTS = Number(process.env.BENCH_STARTS ?? 3);
/** Contestants whose names have this part, printed and not written down. */
const ONLY = process.env.BENCH_ONLY ?? "";
/** Milliseconds of a turn, at least one run. */
const TURN_MS = 700;
/** A contestant that has had so many milliseconds for a batch, the first turn included, has no more turns. */
const PATIENCE_MS = 10_000;
/** Seeds 0 to 4 are drawn by all and compared with the native program. */
const CHECKED = 5;
/** Of all pixels, this many must be within one grey level. */
const SHARE = 0.999;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What threads ask of a server: a static host does not send these. */
async function isolate(context) {
  await context.route("**/*", async (route) => {
    const response = await route.fetch();
    const headers = { ...response.headers(), "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    await route.fulfill({ response, headers });
  });
}

/** A contestant's page in a context of its own, whose caches are empty. */
async function open(browser, { name, isolated }) {
  const context = await browser.newContext({ serviceWorkers: "block" });
  if (isolated) await isolate(context);
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const requests = new Set();
  page.on("request", (request) => requests.add(new URL(request.url()).pathname));
  const failed = new Promise((_, reject) => page.on("pageerror", (error) => reject(new Error(`${name}: ${error.message}`))));
  failed.catch(() => {});
  await page.goto(`${BENCH_URL}bench.html?contestant=${name}&code=${BENCH_CODE}`);
  const ready = page.evaluate(async () => {
    const { start, threads } = await globalThis.bench;
    return { start, threads };
  });
  const { start, threads } = await Promise.race([ready, failed]);
  return { page, start, threads, requests };
}

/** Gzipped bytes of what a page asked for, without the benchmark's own files. */
function sizes(requests) {
  const all = { code: 0, weights: 0, files: [] };
  for (const path of requests) {
    if (path.endsWith("/bench.html") || path.endsWith("/contestants.js")) continue;
    const weights = path.includes("/models/") || path.endsWith(".onnx");
    // `models` holds files that are compressed already.
    const content = readFileSync(join(BENCH_FOLDER, path));
    const bytes = path.includes("/models/") ? content.length : gzipSync(content, { level: 9 }).length;
    all[weights ? "weights" : "code"] += bytes;
    all.files.push([path, bytes]);
  }
  return all;
}

/** Fails unless a contestant draws the pictures of the native program. */
async function check(page, name) {
  const latents = Array.from(numpy(readFileSync(join(BENCH_CASES, "mnist.latent.npy"))).values);
  const levels = await page.evaluate(async ([latents, count]) => (await globalThis.bench).levels(latents, count), [latents, CHECKED]);
  const side = levels.length / CHECKED;
  const got = Array.from({ length: CHECKED }, (_, i) => levels.slice(i * side, (i + 1) * side));
  const { share, worst } = agreement(got, native("--seeds", `0-${CHECKED - 1}`));
  if (!(share >= SHARE)) throw new Error(`${name} draws other pictures: ${100 * share} % agree, the worst differs by ${worst}`);
}

/** Prints the tables, and puts them into the report. */
function writeDown(results, version) {
  const table = report(results, { batches: BATCHES, turns: TURNS, starts: STARTS, load, version });
  console.log(`\n${table}`);
  const [begin, end] = ["<!-- bench web: begin -->", "<!-- bench web: end -->"];
  const text = readFileSync(BENCH_REPORT, "utf8");
  const [before, rest] = text.split(begin);
  if (rest === undefined || !rest.includes(end)) throw new Error(`${BENCH_REPORT} has lost its markers ${begin} and ${end}`);
  writeFileSync(BENCH_REPORT, `${before}${begin}\n${table}\n${end}${rest.split(end)[1]}`);
}

const load = loadavg()[0];
const browser = await launch({ webgpu: true });
try {
  const chosen = CONTESTANTS.filter(({ name }) => name.includes(ONLY));
  const results = new Map(chosen.map((contestant) => [contestant, { starts: [], speeds: {} }]));
  const pages = new Map();
  for (let i = 0; i < STARTS; i++) {
    for (const [contestant, result] of results) {
      const opened = await open(browser, contestant);
      result.starts.push(opened.start / 1000);
      result.threads = opened.threads;
      console.log(`start ${contestant.title}: ${(opened.start / 1000).toFixed(2)} s`);
      if (i + 1 < STARTS) {
        await opened.page.context().close();
        continue;
      }
      result.sizes = sizes(opened.requests);
      await check(opened.page, contestant.title);
      pages.set(contestant, opened.page);
    }
  }
  for (const batch of BATCHES) {
    const turns = new Map(chosen.map((contestant) => [contestant, []]));
    const spent = new Map(chosen.map((contestant) => [contestant, 0]));
    for (let turn = -1; turn < TURNS; turn++) {
      for (const [contestant, page] of pages) {
        // Everybody has one turn that counts.
        if (turn > 0 && spent.get(contestant) > PATIENCE_MS) continue;
        const begin = performance.now();
        await page.bringToFront();
        // The first turn prepares plans and kernels for this batch.
        const ms = await page.evaluate(async ([batch, millis]) => (await globalThis.bench).time(batch, millis), [batch, turn < 0 ? 0 : TURN_MS]);
        if (turn >= 0) turns.get(contestant).push((1000 * batch) / ms);
        spent.set(contestant, spent.get(contestant) + performance.now() - begin);
      }
    }
    for (const [contestant, speeds] of turns) {
      results.get(contestant).speeds[batch] = median(speeds);
      console.log(`batch ${batch} ${contestant.title}: ${speeds.map((speed) => speed.toPrecision(3)).join(" ")} images/s`);
    }
  }
  for (const result of results.values()) result.start = median(result.starts);
  for (const [{ title }, { sizes }] of results) console.log(title, sizes.files);
  if (!ONLY) writeDown(results, browser.version());
} finally {
  await browser.close();
}
