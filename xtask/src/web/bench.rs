//! `cargo xtask bench web`: the page's engine beside onnxruntime-web, with one generator in one browser.
//!
//! Everything that a contestant loads lies in one folder, served from this machine: what is in
//! `web/dist`, onnxruntime-web as npm has it, and the generator as ONNX. The scripts of
//! `tests/web/bench` measure, and write the table into `docs/benchmarks.md`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{dist, harness, make, serve};
use crate::step;
use crate::wasm::Toolchain;

/// Builds, lays out, measures.
pub fn bench(no_build: bool) -> Result<bool> {
    harness::ensure_programs()?;
    if !harness::build_program()?
        || !harness::install_packages()?
        || !(no_build || make(Toolchain::ensure()?[0], true, None)?)
    {
        return Ok(false);
    }
    let Some(cases) = harness::onnx_cases()? else { return Ok(false) };
    let served = step::target_dir().join("bench-web");
    let code = lay_out(&served)?;
    let model = step::root().join("assets/web/mnist-generator.safetensors");
    let mut export = std::process::Command::new(harness::program());
    export.args(["export", "--quiet", "--format", "onnx", "--model"]).arg(model);
    if !step::run("the generator as ONNX", export.arg("--out").arg(served.join("generator.onnx")))? {
        return Ok(false);
    }
    let server = serve::Server::start(&served, 0)?;
    let mut command = harness::node(&["bench/bench.mjs"]);
    command.env("BENCH_URL", server.url()).env("BENCH_FOLDER", &served).env("BENCH_CODE", code);
    command.env("BENCH_CASES", cases).env("BENCH_REPORT", step::root().join("docs/benchmarks.md"));
    step::run("onestep and onnxruntime-web in Chromium", &mut command)
}

/// Copies what contestants load; returns the name of the folder with the page's code.
fn lay_out(served: &Path) -> Result<String> {
    let _ = fs::remove_dir_all(served);
    copy(&dist::folder(), served, &|_| true)?;
    let of_code = |name: &String| name.starts_with("code-");
    let code = dist::names(served)?.into_iter().find(of_code).context("web/dist has no code; build it first")?;
    let runtime = harness::folder().join("node_modules/onnxruntime-web/dist");
    copy(&runtime, &served.join("ort"), &|name| matches!(name.rsplit('.').next(), Some("mjs" | "wasm")))?;
    for name in ["bench.html", "contestants.js"] {
        fs::copy(harness::folder().join("bench").join(name), served.join(name))?;
    }
    Ok(code)
}

/// Copies a folder and those below.
fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in dist::names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to, wanted)?;
        } else if wanted(&name) {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
