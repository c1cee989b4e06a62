//! A server of static files on this machine, for development and tests. Not for the open network.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

/// A running server; it ends with the process.
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves `folder` on the loopback interface.
    pub fn start(folder: &Path, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot listen on port {port}; choose another one with --port"))?;
        let address = listener.local_addr()?;
        let folder = folder.to_path_buf();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                std::thread::spawn(move || {
                    // A browser that hangs up is no failure.
                    let _ = answer(&stream, &folder);
                });
            }
        });
        Ok(Self { address, thread })
    }

    /// What to type into a browser. `localhost` counts as secure, which WebGPU asks for.
    pub fn url(&self) -> String {
        format!("http://localhost:{}/", self.address.port())
    }

    /// Serves until the process ends.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

/// Answers requests on one connection until the browser closes it.
fn answer(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = request.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let found = file(folder, target).and_then(|path| Some((std::fs::read(&path).ok()?, path)));
        let (status, body, kind, cache) = match &found {
            _ if !matches!(method, "GET" | "HEAD") => ("405 Method Not Allowed", &b""[..], "text/plain", "no-store"),
            Some((body, path)) => ("200 OK", &body[..], content_type(path), cache_control(path)),
            None => ("404 Not Found", &b"there is no such file\n"[..], "text/plain", "no-store"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: {cache}\r\n\
             X-Content-Type-Options: nosniff\r\n\r\n",
            body.len()
        );
        let mut out = stream;
        out.write_all(head.as_bytes())?;
        if method != "HEAD" {
            out.write_all(body)?;
        }
        out.flush()?;
    }
}

/// The file of a request, inside the folder only.
fn file(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.trim_start_matches('/');
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let path = folder.join(path);
    let path = if path.is_dir() { path.join("index.html") } else { path };
    (inside && path.is_file()).then_some(path)
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

/// Files whose path has a hash never change; the others are asked for each time.
fn cache_control(path: &Path) -> &'static str {
    let hashed = path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with("code-") || part == "models"
    });
    if hashed { "public, max-age=31536000, immutable" } else { "no-cache" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_inside_the_folder() {
        let folder = std::env::temp_dir();
        let name = format!("onestep-serve-{}.js", std::process::id());
        std::fs::write(folder.join(&name), "1").unwrap();
        assert_eq!(file(&folder, &format!("/{name}?v=1")), Some(folder.join(&name)));
        assert_eq!(file(&folder, &format!("/x/../{name}")), None);
        assert_eq!(file(&folder, "/../etc/passwd"), None);
        assert_eq!(file(&folder, "//etc/passwd"), None);
        std::fs::remove_file(folder.join(&name)).unwrap();
    }
}
