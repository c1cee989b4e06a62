// One contestant per page, ready to draw: `?contestant=NAME&code=FOLDER`, FOLDER that of the page's code.
// `globalThis.bench` holds when its first picture was there, and how to draw more.

const query = new URLSearchParams(location.search);
/** Numbers of one latent. */
const WIDTH = 28 * 28;

/** The page's own engine: seeds in, grey levels out. */
async function onestep(device) {
  const { Engine } = await import(`./${query.get("code")}/engine.js`);
  let choice;
  const engine = new Engine(device, (chosen) => (choice = chosen), () => {});
  await engine.need("generator");
  if (choice.kind !== device) throw new Error(`onestep runs on ${choice.kind}: ${choice.reason} ${choice.detail ?? ""}`);
  return {
    draw: (count) => engine.draw(Array.from({ length: count }, (_, i) => i)),
    levels: async (_, count) => Array.from((await engine.draw(Array.from({ length: count }, (_, i) => i))).pixels),
  };
}

/** onnxruntime-web as its documentation sets it up: latents in, numbers out, in this page's memory. */
async function onnxruntime(module, provider) {
  const ort = await import(`./ort/${module}`);
  ort.env.wasm.wasmPaths = new URL("./ort/", location.href).href;
  // Without isolation, which a static host does not give, there is one thread whatever this says.
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const session = await ort.InferenceSession.create("generator.onnx", { executionProviders: [provider] });
  const run = async (values, count) => {
    const { sample } = await session.run({ latent: new ort.Tensor("float32", values, [count, 1, 28, 28]) });
    return sample.getData();
  };
  // Made once: onestep makes its own for every picture.
  const latents = Float32Array.from({ length: 64 * WIDTH }, (_, i) => Math.sin(i * 12.9898) * 1.4);
  return {
    draw: (count) => run(latents.slice(0, count * WIDTH), count),
    levels: async (values, count) => {
      const sample = await run(Float32Array.from(values), count);
      return Array.from(sample, (x) => Math.min(255, Math.max(0, Math.round((x + 1) * 127.5))));
    },
  };
}

const CONTESTANTS = {
  "onestep-gpu": () => onestep("gpu"),
  "onestep-cpu": () => onestep("cpu"),
  "ort-gpu": () => onnxruntime("ort.webgpu.bundle.min.mjs", "webgpu"),
  "ort-jsep": () => onnxruntime("ort.bundle.min.mjs", "webgpu"),
  "ort-cpu": () => onnxruntime("ort.wasm.bundle.min.mjs", "wasm"),
};

globalThis.bench = (async () => {
  const contestant = await CONTESTANTS[query.get("contestant")]();
  await contestant.draw(1);
  return {
    /** Milliseconds from navigation to the first picture. */
    start: performance.now(),
    threads: globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1,
    levels: contestant.levels,
    /** Milliseconds per run of `count` pictures, each run read back before the next. */
    async time(count, millis) {
      const begin = performance.now();
      let runs = 0;
      do {
        await contestant.draw(count);
        runs += 1;
      } while (performance.now() - begin < millis);
      return (performance.now() - begin) / runs;
    },
  };
})();
