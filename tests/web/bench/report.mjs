// The benchmark's numbers as Markdown.

import { cpus } from "node:os";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const manifest = createRequire(import.meta.url).resolve("onnxruntime-web").replace(/dist.*/, "package.json");
const ORT = `onnxruntime-web ${JSON.parse(readFileSync(manifest, "utf8")).version}`;

/** Who takes part; `isolated` pages are served with the headers that threads need. onnxruntime-web has two back ends for
 * WebGPU: `onnxruntime-web/webgpu`, and the older one of its main module. */
export const CONTESTANTS = [
  { name: "onestep-gpu", title: "onestep, WebGPU" },
  { name: "ort-gpu", title: `${ORT}, WebGPU` },
  { name: "ort-jsep", title: `${ORT}, WebGPU (main module)` },
  { name: "onestep-cpu", title: "onestep, wasm" },
  { name: "ort-cpu", title: `${ORT}, wasm` },
  { name: "ort-cpu", title: `${ORT}, wasm, threads`, isolated: true },
];

const count = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
const kilobytes = (bytes) => Math.round(bytes / 1000).toLocaleString("en");
const times = (a, b) => `${(a / b).toFixed(2)}x`;

/** Tables for `docs/benchmarks.md`. */
export function report(results, { batches, turns, starts, load, version }) {
  const rows = Array.from(results, ([{ title, isolated }, { speeds, start, sizes, threads }]) => [
    isolated ? `${title} (${threads})` : title,
    ...batches.map((batch) => count(speeds[batch])),
    // Served by the test itself, its start says nothing.
    isolated ? "" : count(start),
    kilobytes(sizes.code),
    kilobytes(sizes.weights),
  ]);
  const head = ["", ...batches.map((batch) => `images/s, batch ${batch}`), "first image, s", "code, KB gzipped", "weights, KB gzipped"];
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const table = [line(head), `|---|${"---:|".repeat(head.length - 1)}`, ...rows.map(line)].join("\n");

  const all = (names, pick) =>
    Array.from(results).filter(([{ name, isolated }]) => names.includes(name) && !isolated).map(([, result]) => pick(result));
  const ratios = [["WebGPU", "onestep-gpu", ["ort-gpu", "ort-jsep"]], ["wasm, one thread", "onestep-cpu", ["ort-cpu"]]].map(([what, name, others]) => {
    const ours = (pick) => all([name], pick)[0];
    const speed = (batch) => ({ speeds }) => speeds[batch];
    const [start, code] = [({ start }) => start, ({ sizes }) => sizes.code];
    return line([
      what,
      ...batches.map((batch) => times(ours(speed(batch)), Math.max(...all(others, speed(batch))))),
      times(Math.min(...all(others, start)), ours(start)),
      times(Math.min(...all(others, code)), ours(code)),
    ]);
  });
  const ratioHead = ["onestep against the better of onnxruntime-web", ...batches.map((batch) => `speed, batch ${batch}`), "first image sooner", "less code"];
  const processor = cpus()[0].model.trim();
  return `
Measured ${new Date().toISOString().slice(0, 10)} by \`cargo xtask bench web\`: Chromium ${version}, ${cpus().length} cores (${processor}), no
graphics card, WebGPU on SwiftShader; load of the machine before the run: ${load.toFixed(2)}. Speeds are medians of
${turns} turns (fewer, at least one, where a turn takes many seconds), starts of ${starts}.

${table}

${[line(ratioHead), `|---|${"---:|".repeat(batches.length + 2)}`, ...ratios].join("\n")}
`;
}
