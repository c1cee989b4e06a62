// Everything heavy happens here, away from the page: one Worker holds the engine and its device.
// Calls arrive as {id, method, args} and are answered in order, as {id, result} or {id, error}.

/** A function that returns a vector: browsers without vector instructions refuse it. */
const VECTORS = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
]);

let bindings;
let engine;
let lab;

/** Loads `onestep`, or `onestep-lab`; a Worker is for one of them. */
async function load(module) {
  if (bindings) return;
  try {
    const name = `./${module}${WebAssembly.validate(VECTORS) ? "" : "-scalar"}`;
    const [loaded, code] = await Promise.all([import(`${name}.js`), fetch(new URL(`${name}_bg.wasm`, import.meta.url))]);
    if (!code.ok) throw new TypeError("the module did not come");
    let received = 0;
    const count = new TransformStream({
      transform(part, out) {
        out.enqueue(part);
        received += part.length;
        self.postMessage({ module, received });
      },
    });
    // Not every host knows the type of a module.
    await loaded.default(new Response(code.body.pipeThrough(count), { headers: { "Content-Type": "application/wasm" } }));
    bindings = loaded;
  } catch (error) {
    // What did not come is a TypeError, and the browser would not ask for a script again in this Worker.
    throw error.name === "TypeError" ? { name: "Offline", message: "" } : error;
  }
}

/** Which device to use, and why not the graphics card. */
async function choose(prefer) {
  if (prefer === "cpu") return { kind: "cpu", reason: "asked" };
  if (!navigator.gpu) return { kind: "cpu", reason: "no-webgpu" };
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return { kind: "cpu", reason: "no-adapter" };
  const info = adapter.info ?? {};
  const name = [info.vendor, info.architecture || info.device, info.description].filter(Boolean).join(" ");
  const software = info.isFallbackAdapter ?? adapter.isFallbackAdapter ?? /swiftshader|llvmpipe/i.test(name);
  if (software && prefer !== "gpu") return { kind: "cpu", reason: "software" };
  return { kind: "gpu", name: name || "graphics card" };
}

/** Opens what `open` opens on the chosen device, or on the processor if that fails. */
async function openOn(prefer, open) {
  const choice = await choose(prefer);
  if (choice.kind === "gpu") {
    try {
      return [await open("gpu"), choice];
    } catch (error) {
      if (error.name === "NoData") throw error;
      const reason = error.name === "Canary" ? "canary" : error.name === "NoAdapter" ? "no-adapter" : "failed";
      return [await open("cpu"), { kind: "cpu", reason, detail: error.message }];
    }
  }
  return [await open("cpu"), choice];
}

/** The result of a call with the milliseconds that it took. */
async function timed(call) {
  const start = performance.now();
  const result = await call();
  return result && { ...result, ms: performance.now() - start };
}

const methods = {
  choose,
  rest() {},
  async open(prefer) {
    engine?.free();
    engine = undefined;
    await load("onestep");
    const [opened, choice] = await openOn(prefer, (kind) => bindings.Engine.open(kind));
    engine = opened;
    return choice;
  },
  load: (name, bytes) => engine.load(name, new Uint8Array(bytes)),
  draw: (...args) => timed(() => engine.draw(...args)),
  drawPlane: (...args) => timed(() => engine.drawPlane(...args)),
  judge: (...args) => timed(() => engine.judge(...args)),
  startTeacher: (...args) => engine.startTeacher(...args),
  advanceTeacher: () => timed(() => engine.advanceTeacher()),
  lose: () => (engine ?? lab)?.lose(),

  async labMethods() {
    await load("onestep-lab");
    return bindings.methods();
  },
  async labOpen(prefer, ...args) {
    lab?.free();
    lab = undefined;
    await load("onestep-lab");
    const [opened, choice] = await openOn(prefer, (kind) => bindings.Lab.open(kind, ...args));
    lab = opened;
    return { ...choice, ...lab.describe() };
  },
  labTrain: (millis) => lab.train(millis),
  labStep: (update) => lab.step(update),
  labView: (sigma) => lab.view(sigma),
};

let last = Promise.resolve();
self.addEventListener("message", ({ data: { id, method, args } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, result: await methods[method](...args) });
    } catch (error) {
      self.postMessage({ id, error: { name: error?.name ?? "Failed", message: error?.message ?? String(error) } });
    }
  });
});
