// Offline after the first visit: every file of this version, kept by name. `cargo xtask web` fills
// in both constants; a new version has its own cache, and takes over when its files are complete.
const VERSION = "__VERSION__";
const FILES = ["__FILES__"];
const CACHE = `onestep-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("onestep-") && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) return;
  event.respondWith(answer(event.request, url));
});

/** What stands in for a cache that can't be opened: storage was denied or is full since it was made. */
const NOTHING = { match: async () => undefined };

async function answer(request, url) {
  const cache = await caches.open(CACHE).catch(() => NOTHING);
  if (request.mode === "navigate") {
    // The newest page if the network has it, else the kept one.
    try {
      const response = await fetch(request);
      if (response.ok) return response;
    } catch {
      // Offline.
    }
    return (await cache.match("./")) ?? Response.error();
  }
  url.hash = "";
  return (await cache.match(url.href)) ?? fetch(request);
}
