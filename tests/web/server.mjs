// A host of the built page on this machine that keeps a log, and whose files a test can change.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { ROOT } from "./native.mjs";

const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", wasm: "application/wasm", svg: "image/svg+xml", webmanifest: "application/manifest+json" };

/** The files of the page by their paths, as `cargo xtask web` wrote them. */
export function built() {
  const folder = join(ROOT, "web/dist");
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [path.slice(folder.length + 1).replaceAll("\\", "/"), readFileSync(path)]));
}

/** Another version of the page: the same files, with another folder for its code. */
export function version(files, name) {
  const [, old] = /(code-[0-9a-f]+)/.exec(files.get("index.html"));
  const rename = (text) => text.toString().replaceAll(old, `code-${name}`).replace(/(const VERSION ?= ?)"[^"]*"/, `$1"${name}"`);
  return new Map(Array.from(files, ([path, bytes]) => [rename(path), ["index.html", "sw.js"].includes(path) ? Buffer.from(rename(bytes)) : bytes]));
}

/**
 * Serves `host.files`, which a test may replace; `host.log` has the paths that were asked for.
 */
export async function serve(files) {
  const host = { files, log: [] };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname.slice(1)) || "index.html";
    host.log.push(path);
    const body = host.files.get(path);
    const hashed = /^(code-|models\/)/.test(path);
    response.writeHead(body ? 200 : 404, {
      "Content-Type": TYPES[path.split(".").pop()] ?? "application/octet-stream",
      "Content-Length": body?.length ?? 0,
      // As hosts of static files do it that keep the page for some minutes, too.
      "Cache-Control": path === "sw.js" ? "no-cache" : `max-age=${hashed ? 31536000 : 600}`,
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  host.url = `http://localhost:${server.address().port}/`;
  host.close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return host;
}
