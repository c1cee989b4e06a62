// Exported generators in another runtime: what they draw is what onestep draws.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import * as ort from "onnxruntime-web/wasm";

import { ONESTEP, numpy } from "./native.mjs";

/** Models, latents and samples, from `tests/examples/onnx_cases.rs`. */
const CASES = process.env.ONNX_CASES;
/** Largest difference of a number whose range is -1 to 1; 1.2e-5 was measured for `mnist`, 1.5e-7 for the others. */
const TOLERANCE = 1e-4;

ort.env.wasm.numThreads = 1;

/** Rows `from` to `to` of an array, as a tensor. */
function rows({ shape, values }, from, to) {
  const width = values.length / shape[0];
  return new ort.Tensor("float32", values.slice(from * width, to * width), [to - from, ...shape.slice(1)]);
}

/** Every number, by position; NaN is never close. */
function assertClose(got, wanted, what) {
  assert.deepEqual(got.dims, wanted.dims, what);
  const spread = Math.max(...wanted.data) - Math.min(...wanted.data);
  assert.ok(spread > 0.1, `${what}: numbers within ${spread} of each other prove nothing`);
  for (const [i, value] of wanted.data.entries()) {
    assert.ok(Math.abs(got.data[i] - value) <= TOLERANCE, `${what}: number ${i} is ${got.data[i]}, not ${value}`);
  }
}

describe("ONNX files in onnxruntime", () => {
  for (const name of ["mnist", "attention", "wide", "adaptive", "classes", "points", "modes"]) {
    test(`onnx: ${name} draws the same samples, one or five at a time`, async () => {
      const file = join(CASES, `${name}.onnx`);
      execFileSync(ONESTEP, ["export", "--quiet", "--format", "onnx", "--model", join(CASES, `${name}.safetensors`), "--out", file]);
      const session = await ort.InferenceSession.create(readFileSync(file));
      const conditional = existsSync(join(CASES, `${name}.label.npy`));
      const inputs = conditional ? ["latent", "label"] : ["latent"];
      assert.deepEqual([session.inputNames, session.outputNames], [inputs, ["sample"]]);
      const latents = numpy(readFileSync(join(CASES, `${name}.latent.npy`)));
      const samples = numpy(readFileSync(join(CASES, `${name}.sample.npy`)));
      const labels = conditional && numpy(readFileSync(join(CASES, `${name}.label.npy`)));
      const given = (from, to) => ({ latent: rows(latents, from, to), ...(labels && { label: rows(labels, from, to) }) });
      for (const [from, to] of [[0, 5], [0, 1], [4, 5]]) {
        const { sample } = await session.run(given(from, to));
        assertClose(sample, rows(samples, from, to), `samples ${from} to ${to}`);
      }
      const other = await session.run(given(1, 2));
      assert.throws(() => assertClose(other.sample, rows(samples, 0, 1), ""), "another latent gives another sample");
      await session.release();
    });
  }
});
