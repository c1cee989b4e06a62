// What the native program computes, for comparison.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ONESTEP = process.env.ONESTEP ?? "target/release/onestep";
export const ROOT = process.env.ONESTEP_ROOT ?? join(import.meta.dirname, "../..");

/** Shape and numbers of a `.npy` file of bytes or of `float32`. */
export function numpy(file) {
  const start = 10 + file.readUInt16LE(8);
  const header = file.toString("latin1", 0, start);
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((size) => size.trim()).map(Number);
  const data = file.buffer.slice(file.byteOffset + start, file.byteOffset + file.length);
  return { shape, values: header.includes("<f4") ? new Float32Array(data) : new Uint8Array(data) };
}

/** What the native program draws with the shipped generator: `uint8` N x H x W x C, as one array per picture. */
export const native = (...args) => nativeOf(join(ROOT, "assets/web/mnist-generator.safetensors"), ...args);

/** The same with another generator. */
export function nativeOf(model, ...args) {
  const folder = mkdtempSync(join(tmpdir(), "onestep-page-"));
  try {
    const out = join(folder, "samples.npy");
    execFileSync(ONESTEP, ["sample", "--quiet", "--device", "cpu", "--model", model, "--out", out, ...args]);
    const { shape, values } = numpy(readFileSync(out));
    const size = values.length / shape[0];
    return Array.from({ length: shape[0] }, (_, i) => Array.from(values.subarray(i * size, (i + 1) * size)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A generator of digits that knows no classes, after a short training, in a folder of the caller's. */
export function withoutClasses(folder) {
  const settings = { "classes": 0, "data": "mnist-10k", "width": 8, "batch": 16, "warmup-steps": 150, "lr-warmup": 0.01, "steps": 1, "device": "cpu", "outdir": folder };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  execFileSync(ONESTEP, ["train", "--quiet", ...flags]);
  const snapshots = readdirSync(folder, { recursive: true });
  return join(folder, snapshots.find((name) => /generator-.*safetensors$/.test(name)));
}
