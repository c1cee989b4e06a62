// Offline after the first visit: the files of one version, kept by name. `cargo xtask web` fills in the constants; a
// new version has its own cache, and takes over when its files are complete. What has a hash in its name never changes.
const VERSION = "__VERSION__";
const CODE = "__CODE__";
/** What every visit needs. */
const FILES = ["__FILES__"];
/** Weights and code that are kept once their tab was opened. */
const LATER = ["__LATER__"];
const CACHE = `onestep-${VERSION}`;
const isLater = (href) => LATER.some((file) => new URL(file, location).href === href);

/** A function that returns a vector, as in the Worker: of the two modules a browser needs one. */
const VECTORS = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
]);
const scalar = !WebAssembly.validate(VECTORS);
const isUsed = (file) => !file.includes("/onestep") || file.includes("-scalar") === scalar;

/** Adds a file, from an older version's cache if it is there. */
async function keep(cache, file) {
  const response = (await caches.match(file)) ?? (await fetch(file));
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  await cache.put(file, response);
}

async function install() {
  const cache = await caches.open(CACHE);
  // A browser, or a host, may hand out an older page than this file: with it the copy would never start.
  const page = await fetch("./", { cache: "reload" });
  if (!page.ok || !(await page.clone().text()).includes(CODE)) throw new Error("the page is of another version");
  const old = await Promise.all(LATER.map((file) => caches.match(file)));
  const files = [...FILES.filter(isUsed), ...LATER.filter((_, i) => old[i])];
  await Promise.all([cache.put("./", page), ...files.map((file) => keep(cache, file))]);
  await self.skipWaiting();
}

/** Keeps the version before: a tab may have it open, and may have not loaded everything. */
async function activate() {
  const others = (await caches.keys()).filter((name) => name.startsWith("onestep-") && name !== CACHE);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(event, { href }) {
  const { request } = event;
  if (request.mode === "navigate") {
    // The newest page if the network has it, else the kept one.
    const response = await fetch(request).catch(() => undefined);
    return response?.ok ? response : ((await match("./", { cacheName: CACHE })) ?? response ?? Response.error());
  }
  const again = request.cache === "reload";
  const kept = again ? undefined : await match(href);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok && (again || isLater(href))) {
    const copy = response.clone();
    event.waitUntil(caches.open(CACHE).then((cache) => cache.put(href, copy)).catch(() => {}));
  }
  return response;
}

/** Nothing, too, if storage was denied or is full since the copy was made. */
const match = (file, options) => caches.match(file, options).catch(() => undefined);

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
// The page tells what it had loaded before.
self.addEventListener("message", (event) => {
  const add = (cache) => Promise.all(event.data.filter(isLater).map((href) => keep(cache, href)));
  event.waitUntil(caches.open(CACHE).then(add).catch(() => {}));
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  url.hash = "";
  event.respondWith(answer(event, url));
});
