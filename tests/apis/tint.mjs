// `node tint.mjs < LIST`: does Chrome's shader compiler take these shaders, with their constants? No graphics card is
// needed: Dawn's back end `null` checks all and computes nothing. Prints, for each file, `ok FILE` or `refused FILE: why`.

import { readFileSync } from "node:fs";

import { create } from "webgpu";

const gpu = create(["backend=null"]);
const device = await (await gpu.requestAdapter()).requestDevice();

/** Why a shader is refused, or nothing. */
async function refusal(code, constants) {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter(({ type }) => type === "error").map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
  if (errors.length === 0) {
    // The same layout for all would hide a binding that is missing: each gets its own.
    const compute = { module, entryPoint: "main", constants };
    await device.createComputePipelineAsync({ layout: "auto", compute }).catch((error) => errors.push(error.message));
  }
  await device.popErrorScope();
  return errors[0];
}

for (const wrong of ["fn main() -> f32 { return 1u; }", "override N: u32; @compute @workgroup_size(N) fn main() {}"]) {
  if (!(await refusal(wrong, {}))) throw new Error(`this wrong shader was not noticed: ${wrong}`);
}
for (const file of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const code = readFileSync(file, "utf8");
  const why = await refusal(code, JSON.parse(code.slice(2, code.indexOf("\n"))));
  console.log(why ? `refused ${file}: ${why.replaceAll("\n", " ")}` : `ok ${file}`);
}
// Not by itself: Dawn's threads would keep the program.
process.exit(0);
