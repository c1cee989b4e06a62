//! The page in a real browser and exported models in another runtime: the tests of `tests/web`.

use anyhow::Result;

use super::{dist, harness, make, serve};
use crate::step;
use crate::summary::Summary;
use crate::wasm::Toolchain;

/// The page, driven by Playwright.
const PAGE: [&str; 5] =
    ["page.test.mjs", "address.test.mjs", "visit.test.mjs", "screen.test.mjs", "laboratory.test.mjs"];
/// ONNX files, which need no page.
const ONNX: &str = "onnx.test.mjs";

/// Whether a test here has this in its name: building the page for none takes minutes.
pub fn has_test(filter: &str) -> bool {
    PAGE.iter().chain([&ONNX]).any(|file| names(file, filter))
}

fn names(file: &str, filter: &str) -> bool {
    let tests = std::fs::read_to_string(harness::folder().join(file)).unwrap_or_default();
    tests.lines().any(|line| line.trim_start().starts_with("test(") && line.contains(filter))
}

/// Builds the page and runs the tests; only those whose name contains `filter`.
pub fn test(filter: Option<&str>) -> Result<Summary> {
    let wanted = |file: &str| filter.is_none_or(|filter| names(file, filter));
    let mut summary = Summary::default();
    harness::ensure_programs()?;
    if !harness::build_program()? || !harness::install_packages()? {
        summary.failed = 1;
        return Ok(summary);
    }
    if wanted(ONNX) {
        summary.add(onnx(filter)?);
    }
    if PAGE.iter().any(|file| wanted(file)) {
        // The plain way last: what it built stays in `web/dist`, as after `cargo xtask web`.
        for toolchain in Toolchain::ensure()?.into_iter().rev() {
            summary.add(page(toolchain, filter)?);
        }
    }
    Ok(summary)
}

fn onnx(filter: Option<&str>) -> Result<Summary> {
    let Some(cases) = harness::onnx_cases()? else { return Ok(Summary { failed: 1, ..Summary::default() }) };
    run(ONNX, filter, &[("ONNX_CASES", &cases.display().to_string())])
}

fn page(toolchain: Toolchain, filter: Option<&str>) -> Result<Summary> {
    let shaders = step::target_dir().join("shaders.txt");
    let failed = Summary { failed: 1, ..Summary::default() };
    let Some(mut sources) = step::example("sources")? else { return Ok(failed) };
    if !make(toolchain, false, None)? || !step::run("the text of every kernel", sources.arg(&shaders))? {
        return Ok(failed);
    }
    let server = serve::Server::start(&dist::folder(), 0)?;
    let mut summary = Summary::default();
    for file in PAGE.into_iter().filter(|file| filter.is_none_or(|filter| names(file, filter))) {
        summary.add(run(file, filter, &[("PAGE_URL", &server.url()), ("SHADERS", &shaders.display().to_string())])?);
    }
    Ok(summary)
}

/// Runs one file of tests, and counts them.
fn run(file: &str, filter: Option<&str>, environment: &[(&str, &str)]) -> Result<Summary> {
    let mut command = harness::node(&["--test", "--test-concurrency=1", "--test-reporter=tap"]);
    if let Some(filter) = filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    command.arg(file).envs(environment.iter().copied());
    let mut summary = Summary::default();
    let passed = step::run_lines(file, &mut command, &mut |line| summary.add_tap_line(line))?;
    if !passed && summary.failed == 0 {
        summary.failed = 1;
    }
    Ok(summary)
}
