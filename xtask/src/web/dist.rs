//! The static files: `index.html` and the service worker, which change, beside what never does.
//!
//! Invariant: a file whose name has a hash never changes, so that browsers may keep it for ever; all
//! URLs are relative, so that the folder works wherever it is put.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::build::{LAB, MODULES, SCALAR};
use super::{script, slim};
use crate::step;
use crate::wasm::Toolchain;

/// Largest code that a visitor loads before the first picture: HTML, style, scripts and one module, gzipped. A prebuilt
/// standard library was built for speed and has the words of all its panics; one from source is built small. The latter
/// was 249,547 when the laboratory was part of it, and has not been measured since.
const fn code_bytes(toolchain: Toolchain) -> usize {
    match toolchain {
        Toolchain::Plain => 256_000,
        Toolchain::Debian => 230_000,
    }
}
/// Largest module of the laboratory, with all its methods, gzipped; it comes when its tab is opened.
const LAB_BYTES: usize = 281_000;
/// Scripts that come with it.
const LAB_SCRIPTS: [&str; 3] = ["views/lab.js", "scene.js", "strokes.js"];
/// Largest weights, as they are sent.
const WEIGHT_BYTES: usize = 3_000_000;

/// Folder of the page's sources, as `index.html` names it.
const SOURCES: &str = "web/page";
/// The service worker has to lie at the top, or it would not see requests there.
const SERVICE_WORKER: &str = "sw.js";
/// The weights, by what the page calls them.
const MODELS: [(&str, &str); 3] =
    [("generator", "mnist-generator"), ("ratio", "mnist-ratio"), ("denoiser", "mnist-denoiser")];

/// What links to the page are shown with elsewhere; no visitor loads it.
const CARD: &str = "card.png";

/// Where the page is built.
pub fn folder() -> PathBuf {
    step::root().join("web/dist")
}

/// What a visitor loads, in bytes.
pub struct Sizes {
    /// Files of the code, gzipped.
    code: BTreeMap<String, usize>,
    weights: BTreeMap<String, usize>,
    toolchain: Toolchain,
}

impl Sizes {
    fn code_total(&self) -> usize {
        self.sum(|name| !name.contains(SCALAR) && !of_lab(name))
    }

    fn lab_total(&self) -> usize {
        self.sum(|name| !name.contains(SCALAR) && of_lab(name))
    }

    fn sum(&self, counts: impl Fn(&str) -> bool) -> usize {
        self.code.iter().filter(|(name, _)| counts(name)).map(|(_, bytes)| bytes).sum()
    }

    fn weights_total(&self) -> usize {
        self.weights.values().sum()
    }

    /// Whether a visitor loads no more than was promised.
    pub fn within_budget(&self) -> bool {
        self.code_total() <= code_bytes(self.toolchain)
            && self.lab_total() <= LAB_BYTES
            && self.weights_total() <= WEIGHT_BYTES
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ngzipped bytes:")?;
        for (name, bytes) in self.code.iter().chain(&self.weights) {
            writeln!(f, "  {bytes:>9}  {name}")?;
        }
        let (total, allowed) = (self.code_total(), code_bytes(self.toolchain));
        writeln!(f, "  {total:>9}  code before the first picture, of {allowed} allowed with {}", self.toolchain)?;
        writeln!(f, "  {:>9}  code of the laboratory besides, of {LAB_BYTES} allowed", self.lab_total())?;
        writeln!(f, "  {:>9}  weights, of {WEIGHT_BYTES} allowed", self.weights_total())
    }
}

/// Whether code comes when the laboratory's tab is opened.
fn of_lab(name: &str) -> bool {
    name.starts_with(LAB) || LAB_SCRIPTS.contains(&name)
}

/// Lays out `web/dist` from the page's sources, the engine's folder and the weights, for a place with this address if it
/// is known.
pub fn assemble(engine: &Path, toolchain: Toolchain, address: Option<&str>) -> Result<Sizes> {
    let dist = folder();
    let _ = fs::remove_dir_all(&dist);
    fs::create_dir_all(dist.join("models"))?;
    let mut sizes = Sizes { code: BTreeMap::new(), weights: BTreeMap::new(), toolchain };

    let mut code: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for source in [step::root().join(SOURCES), engine.to_path_buf()] {
        collect(&source, "", &mut code)?;
    }
    let views = code.remove("views.css").context("the styles of the views are missing")?;
    code.get_mut("style.css").context("the style is missing")?.extend(views);
    for (name, bytes) in &mut code {
        let slim = match Path::new(name).extension().and_then(|ending| ending.to_str()) {
            Some("js") => script::slim,
            Some("css") => slim::style,
            _ => continue,
        };
        *bytes = slim(str::from_utf8(bytes).with_context(|| format!("{name} is no text"))?).into_bytes();
    }
    let worker = code.remove(SERVICE_WORKER).context("the service worker is missing")?;
    let table = format!("{}{}", models(&dist, &mut sizes)?, modules(&code)?);
    code.insert("models.js".to_owned(), table.into_bytes());
    let mut hash = Sha256::new();
    for (name, bytes) in &code {
        hash.update(name);
        hash.update(bytes);
    }
    let code_folder = format!("code-{}", short(&hash.finalize()));
    for (name, bytes) in &code {
        write(&dist.join(&code_folder).join(name), bytes)?;
        sizes.code.insert(name.clone(), gzip(bytes).len());
    }

    let page = slim::html(&fs::read_to_string(step::root().join("index.html"))?);
    let page = page.replace(&format!("{SOURCES}/"), &format!("{code_folder}/"));
    let card = format!("{}/{CARD}", address.unwrap_or_default().trim_end_matches('/'));
    let page = page.replace(&format!("content=\"{CARD}\""), &format!("content=\"{}\"", card.trim_start_matches('/')));
    fs::copy(step::root().join("assets/web").join(CARD), dist.join(CARD)).context("cannot copy the card")?;
    write(&dist.join("index.html"), page.as_bytes())?;
    sizes.code.insert("index.html".to_owned(), gzip(page.as_bytes()).len());

    let code = code.keys().map(|name| format!("{code_folder}/{name}"));
    let models = names(&dist.join("models"))?.into_iter().map(|name| format!("models/{name}"));
    let is_first =
        |name: &String| if name.starts_with("models/") { name.contains(MODELS[0].1) } else { !name.contains(LAB) };
    let (files, later): (Vec<_>, Vec<_>) = code.chain(models).partition(is_first);
    let worker = String::from_utf8(worker).context("the service worker is text")?;
    let version = short(&Sha256::digest(format!("{page}{files:?}{later:?}{worker}")));
    let worker = worker.replace("__VERSION__", &version).replace("__CODE__", &code_folder);
    let worker = worker.replace("[\"__FILES__\"]", &json!(files).to_string());
    let worker = worker.replace("[\"__LATER__\"]", &json!(later).to_string());
    write(&dist.join(SERVICE_WORKER), worker.as_bytes())?;
    sizes.code.insert(SERVICE_WORKER.to_owned(), gzip(worker.as_bytes()).len());
    Ok(sizes)
}

/// What each module's size is as it runs and as it is sent, for the page's progress.
fn modules(code: &BTreeMap<String, Vec<u8>>) -> Result<String> {
    let mut table = serde_json::Map::new();
    for (name, _) in MODULES {
        let module = code.get(&format!("{name}_bg.wasm")).with_context(|| format!("{name} was not built"))?;
        table.insert(name.to_owned(), json!([module.len(), gzip(module).len()]));
    }
    Ok(format!("export const CODE={};\n", json!(table)))
}

/// Writes the weights, compressed, and returns what says where they are.
fn models(dist: &Path, sizes: &mut Sizes) -> Result<String> {
    let mut table = serde_json::Map::new();
    for (role, name) in MODELS {
        let source = step::root().join(format!("assets/web/{name}.safetensors"));
        let bytes = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let packed = gzip(&bytes);
        let digest = Sha256::digest(&bytes);
        // Not `.gz`: some servers would unpack such a file on the way, others not.
        let file = format!("{name}-{}.bin", short(&digest));
        write(&dist.join("models").join(&file), &packed)?;
        sizes.weights.insert(file.clone(), packed.len());
        table.insert(
            role.to_owned(),
            json!({ "file": file, "name": format!("{name}.safetensors"), "bytes": packed.len(), "sha256": hex(&digest) }),
        );
    }
    Ok(format!("export const MODELS={};\n", json!(table)))
}

/// Adds the files of a folder and those below, by their relative names.
fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if files.insert(format!("{prefix}{name}"), fs::read(&path)?).is_some() {
            bail!("two files are called {prefix}{name}");
        }
    }
    Ok(())
}

/// Names in a folder, in order.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("files lie in folders")?)?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes any number of bytes")
}

/// Hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]).collect()
}

/// Enough of a digest to tell files apart.
fn short(digest: &[u8]) -> String {
    hex(&digest[..6])
}
