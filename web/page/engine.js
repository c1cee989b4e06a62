// The page's side of the Worker: calls as promises, weights with progress, recovery of a lost device.

import { CODE, MODELS } from "./models.js";

/** A file larger than this is no model that a browser should load. */
const MAX_BYTES = 200_000_000;

/** What is fetched, in words. */
const WORDS = {
  onestep: "the engine",
  "onestep-lab": "the laboratory",
  generator: "the network",
  ratio: "the judge",
  denoiser: "the denoiser",
};
/** Errors after which a Worker is of no use: its code did not come, or stopped in the middle. */
const GONE = ["Offline", "RuntimeError"];

/** An error with a name that the page can tell apart. */
export function named(name, message) {
  return Object.assign(new Error(message), { name });
}

/** The error of what does not come. */
export const missing = (what = "the page's code") => named("Offline", `The network gave nothing for ${what}. Check the connection and try again.`);

const tooLarge = () => named("BadModel", `It has more than ${MAX_BYTES / 1e6} MB, which is too much for a page.`);

/** A Worker whose methods are called by name. One that can't load its code, or has died, is given up: the next call
 * starts another, in which nothing is open. */
export class Remote {
  #worker;
  #waiting = new Map();
  #next = 0;
  #onProgress;

  /** @param {(what: string, share: number, bytes: number) => void} onProgress hears of the Worker's code */
  constructor(onProgress) {
    this.#onProgress = onProgress;
  }

  #start() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data: { id, result, error, module, received } }) => {
      if (module) {
        const [unpacked, packed] = CODE[module];
        this.#onProgress(WORDS[module], Math.min(1, received / unpacked), packed);
      }
      const call = this.#waiting.get(id);
      if (!call) return;
      if (GONE.includes(error?.name)) return this.#giveUp(error.message);
      this.#waiting.delete(id);
      if (error) call.reject(named(error.name, error.message));
      else call.resolve(result);
    });
    worker.addEventListener("error", ({ message }) => {
      if (worker === this.#worker) this.#giveUp(message);
    });
    return worker;
  }

  /** A file that did not come is told without words. */
  #giveUp(message) {
    const error = message ? named("RuntimeError", message) : missing();
    this.#worker.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  call(method, ...args) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker ??= this.#start();
      this.#worker.postMessage({ id, method, args });
    });
  }

  /** Ends the Worker after what it has been asked, or as soon as it fails. */
  end() {
    const worker = this.#worker;
    if (worker) this.call("rest").catch(() => {}).then(() => worker.terminate());
  }
}

/** Draws pictures; opens the device when it is first needed, and again when it is lost. */
export class Engine {
  #remote;
  #prefer;
  #opened;
  /** A Worker on the processor, which draws until the graphics card has compiled its kernels. */
  #meanwhile;
  /** Files by role, kept for a device that has to be opened again. */
  #files = new Map();
  #loading = new Map();
  /** The last load: what is loaded last is what is there. */
  #last = Promise.resolve();
  /** Whether the last download was. */
  #damaged = false;
  #onDevice;
  #onProgress;

  /**
   * @param {string} prefer auto, gpu or cpu
   * @param {(choice: {kind: string, name?: string, reason?: string, detail?: string}) => void} onDevice
   * @param {(what: string, share: number, bytes: number) => void} onProgress
   */
  constructor(prefer, onDevice, onProgress) {
    this.#prefer = prefer;
    this.#onDevice = onDevice;
    this.#onProgress = onProgress;
    this.#remote = new Remote(onProgress);
  }

  /** Opens the device if it is not open; `news` is what there is to say of it beside its choice. */
  #open(news) {
    this.#opened ??= this.#remote.call("open", this.#prefer).then(
      async (choice) => {
        const known = { ...choice, ...news };
        if (!(await this.#meanwhile?.catch(() => {}))) this.#onDevice(known);
        return known;
      },
      (error) => this.#forget(error),
    );
    return this.#opened;
  }

  /** What was open is not any more: the next call opens it again. */
  #forget(error) {
    this.#opened = undefined;
    this.#loading.clear();
    throw error;
  }

  /** A call to the generator. A graphics card that was not asked for by name may take its time for the first one. */
  async #soon(method, ...args) {
    this.#meanwhile ??= this.#prefer === "auto" && !this.#opened ? this.#bridge(method, args) : Promise.resolve();
    try {
      const quick = await this.#meanwhile;
      if (quick) return await quick.call(method, ...args);
    } catch (error) {
      // What has failed may succeed the next time.
      this.#meanwhile = undefined;
      throw error;
    }
    await this.need("generator");
    return this.#call(method, ...args);
  }

  /** A Worker that draws until the graphics card has answered this call; none if there is no card. */
  async #bridge(method, args) {
    if ((await this.#remote.call("choose", this.#prefer)).kind === "cpu") return undefined;
    const quick = new Remote(this.#onProgress);
    try {
      const [{ name, bytes }] = await Promise.all([this.#fetch("generator"), quick.call("open", "cpu")]);
      await quick.call("load", name, bytes);
    } catch (error) {
      quick.end();
      throw error;
    }
    this.#onDevice({ kind: "cpu", reason: "meanwhile" });
    const over = async () => {
      this.#meanwhile = Promise.resolve();
      quick.end();
      this.#onDevice(await this.#open());
    };
    // What fails here fails again, and is told, when somebody waits for it.
    this.need("generator").then(() => this.#call(method, ...args)).finally(over).catch(() => {});
    return quick;
  }

  /** Makes sure that a shipped network is on the device. */
  need(role) {
    if (!this.#loading.has(role)) {
      // A generator takes the place of all that was there.
      if (role === "generator") this.#loading.clear();
      const files = this.#files;
      const loading = (async () => {
        const [{ name, bytes }] = await Promise.all([this.#fetch(role), this.#open()]);
        // Where another generator has come meanwhile, what belongs to that is needed.
        return (await this.#inTurn(() => files === this.#files && this.#call("load", name, bytes))) || this.need(role);
      })();
      // A download that failed may succeed the next time.
      loading.catch(() => this.#loading.delete(role));
      this.#loading.set(role, loading);
    }
    return this.#loading.get(role);
  }

  /** One load after another: what is on the device is what the page takes to be there. */
  #inTurn(load) {
    return (this.#last = this.#last.then(load, load));
  }

  /** A file that is kept, or a shipped one. */
  async #fetch(role) {
    const files = this.#files;
    if (!files.has(role)) {
      const { file, name, bytes, sha256 } = MODELS[role];
      const url = new URL(`../models/${file}`, import.meta.url);
      const onProgress = (share) => this.#onProgress(WORDS[role], share, bytes);
      onProgress(0);
      // A damaged file may lie in the browser's cache, too.
      const packed = await download(url, bytes, onProgress, { cache: this.#damaged ? "reload" : "default" });
      const content = await Promise.resolve(packed).then(unpack).catch(() => packed);
      this.#damaged = !(await intact(content, sha256));
      if (this.#damaged) throw named("Integrity", `${name} was damaged on the way. Try again.`);
      files.set(role, { name, bytes: content });
    }
    return files.get(role);
  }

  /** A visitor's own generator in place of the shipped one. Returns what the file says about itself. */
  use(name, bytes) {
    return this.#inTurn(async () => {
      // What was on the device is not there any more, or may not be: it is loaded again when it is needed.
      this.#loading.clear();
      await this.#open();
      bytes = await unpack(bytes);
      const info = await this.#call("load", name, bytes);
      if (info.kind !== "generator") throw named("BadModel", `${name} holds a ${info.kind}; choose a file whose name starts with generator.`);
      this.#meanwhile = Promise.resolve();
      this.#files = new Map([["generator", { name, bytes }]]);
      this.#loading = new Map([["generator", Promise.resolve(info)]]);
      this.own = true;
      return info;
    });
  }

  /** The shipped generator again. */
  back() {
    this.#files = new Map();
    this.#loading = new Map();
    this.own = false;
  }

  // `ofClass` is a list of one class; empty, seeds stand for classes.

  /** Of seeds and `ofClass`. */
  draw(...args) {
    return this.#soon("draw", ...args);
  }

  /** Of a seed, places and `ofClass`. */
  drawPlane(...args) {
    return this.#soon("drawPlane", ...args);
  }

  async judge(seeds, ofClass) {
    await this.need("generator");
    await this.need("ratio");
    return this.#call("judge", seeds, ofClass);
  }

  /** Draws, then steps the denoiser, on one device, all of it anew if that is lost: `onStep` hears each state and what
   * was drawn, and says whether it wants another. */
  async race(seeds, ofClass, onStep) {
    await this.need("generator");
    await this.need("denoiser");
    return this.#safely(async (call) => {
      // Once for nothing: the first run of a batch size prepares its plan.
      await call("draw", seeds, ofClass);
      const drawn = await call("draw", seeds, ofClass);
      await call("startTeacher", seeds, ofClass);
      for (let state; (state = await call("advanceTeacher")); ) if (!onStep(state, drawn)) break;
    });
  }

  /** Loses the device on purpose: for tests. */
  lose() {
    return this.#remote.call("lose");
  }

  #call(...args) {
    return this.#safely((call) => call(...args));
  }

  /** A job of calls; a lost device is opened again, once as it was, the second time as the processor. What else goes
   * wrong on a card (a kernel that does not compile, too little memory, nonsense) would do so again: then the processor
   * follows at once. */
  async #safely(job) {
    for (let attempt = 0, instead; ; attempt++) {
      try {
        if (attempt > 0) await this.#again(instead);
        return await job((...args) => this.#remote.call(...args));
      } catch (error) {
        if (GONE.includes(error.name)) this.#forget(error);
        const reason = { DeviceLost: "lost", Gpu: "failed", OutOfMemory: "memory", Canary: "canary" }[error.name];
        if (!reason || instead) throw error;
        if (reason !== "lost" || attempt) instead = { reason, detail: error.message };
      }
    }
  }

  /** Opens the device again with all that was on it; the processor, if there is a reason for it. */
  async #again(instead) {
    if (instead) this.#prefer = "cpu";
    this.#opened = undefined;
    await this.#open({ again: true, ...instead });
    for (const [role, { name, bytes }] of this.#files) {
      if (role === "generator" || this.#loading.has(role)) await this.#remote.call("load", name, bytes);
    }
  }
}

/** What a server answers, if that is what was wanted. */
async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "omit", ...options });
  } catch {
    throw missing(url);
  }
  if (!response.ok) throw named("Offline", `The server answered ${response.status} for ${url}.`);
  return response;
}

/** The size of what a server answers, 0 if it does not say. */
const sizeOf = (response) => Number(response.headers.get("content-length"));

/** The size of a file on a server. */
export const remoteSize = async (url) => sizeOf(await ask(url, { method: "HEAD" }));

/** Bytes of a URL. Progress, which hears of the size, too, is measured by `expected`, or by what the server says. */
export async function download(url, expected, onProgress, options) {
  const response = await ask(url, options);
  const size = expected || sizeOf(response);
  const broken = named("Offline", `The network broke off in the middle of ${url}. Check the connection and try again.`);
  return all(response.body, broken, (received) => size > 0 && onProgress(Math.min(1, received / size), size));
}

/** All bytes of a stream that breaks with this error, if they are not too many. */
async function all(stream, broken, onPart) {
  const parts = [];
  let received = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read().catch(() => {
      throw broken;
    });
    if (done) break;
    parts.push(value);
    received += value.length;
    if (received > MAX_BYTES) {
      reader.cancel().catch(() => {});
      throw tooLarge();
    }
    onPart?.(received);
  }
  return new Blob(parts).arrayBuffer();
}

/** A file from a visitor's disk. */
export async function read(file) {
  if (file.size > MAX_BYTES) throw tooLarge();
  return file.arrayBuffer();
}

/** Unpacks gzip, if it is that. */
function unpack(bytes) {
  const [first, second] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (first !== 0x1f || second !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return all(stream, named("BadModel", "It is packed by gzip, and damaged."));
}

/** Whether these are the weights that were meant. (Outside of secure pages browsers can't compute this.) */
async function intact(bytes, sha256) {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return sha256 === Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
