//! The engine for browsers: compiled, given its JavaScript side, made smaller.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use walrus::{ExportItem, Module};
use wasm_bindgen_cli_support::Bindgen;

use super::slim;
use crate::step;
use crate::wasm::{SIMD, TARGET, Toolchain};

/// The modules and their features: pictures need nothing that trains.
pub const MODULES: [(&str, &str); 2] = [("onestep", "engine"), (LAB, "lab")];
/// What a build of a module differs in: a browser refuses a whole module that has one instruction
/// it does not know, so there is one with vectors and one without.
const VARIANTS: [(&str, &str); 2] = [("", SIMD), (SCALAR, "")];
/// Name of the laboratory's module.
pub const LAB: &str = "onestep-lab";
/// End of the name of a module without vectors.
pub const SCALAR: &str = "-scalar";

/// What Rust's code may use beyond the first version of WebAssembly; all browsers with WebGPU have it.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
];

/// Below cargo's target folder. Everything in it is shipped, so it must not be a folder that cargo fills: those have
/// the names of profiles (there is one called `web`) and targets, and no profile's name may have a dot.
const GATHERED: &str = "page.engine";

/// Builds the engine into a folder: `onestep.js`, `onestep_bg.wasm`, the same of the laboratory, and all again without
/// vectors. `None` if it does not compile. `quick` leaves out those without.
pub fn engine(toolchain: Toolchain, quick: bool) -> Result<Option<PathBuf>> {
    let folder = step::target_dir().join(GATHERED);
    let _ = std::fs::remove_dir_all(&folder);
    let variants = &VARIANTS[..if quick { 1 } else { VARIANTS.len() }];
    for ((end, flags), (module, features)) in
        variants.iter().flat_map(|variant| MODULES.map(|module| (*variant, module)))
    {
        let name = &format!("{module}{end}");
        let args = ["build", "--package", "onestep-web", "--profile", "web", "--no-default-features", "--features"];
        if !toolchain.build(&[&args[..], &[features]].concat(), flags)? {
            return Ok(None);
        }
        let module = toolchain.target_dir().join(TARGET).join("web/onestep_web.wasm");
        bind(&module, &folder, name)?;
        let wasm = folder.join(format!("{name}_bg.wasm"));
        shrink(&wasm, !flags.is_empty())?;
        let script = folder.join(format!("{name}.js"));
        let bindings = slim::bindings(&std::fs::read_to_string(&script)?)?;
        let (text, module) = slim::names(&bindings, &std::fs::read(&wasm)?)?;
        std::fs::write(&script, text)?;
        std::fs::write(&wasm, module)?;
    }
    Ok(Some(folder))
}

fn bind(module: &Path, folder: &Path, name: &str) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name(name)
        .typescript(false)
        .remove_producers_section(true)
        .remove_name_section(true);
    bindgen
        .web(true)?
        .omit_default_module_path(false)
        .generate(folder)
        .map_err(|e| anyhow!("wasm-bindgen: {e:#}"))
        .with_context(|| format!("cannot write the bindings of {}", module.display()))
}

/// Runs binaryen's optimiser if it is installed; without it the module is larger, nothing else.
fn shrink(wasm: &Path, simd: bool) -> Result<()> {
    if !step::works("wasm-opt", &["--version"]) {
        println!("wasm-opt is not installed: the module stays larger than it could be (Debian: binaryen)");
        return Ok(());
    }
    let smaller = wasm.with_extension("smaller");
    let mut command = Command::new("wasm-opt");
    command.arg("-Oz").args(FEATURES);
    if simd {
        command.arg("--enable-simd");
    }
    command.arg(wasm).arg("-o").arg(&smaller);
    if !step::run(&format!("wasm-opt -Oz {}", wasm.display()), &mut command)? {
        println!("wasm-opt failed: the module stays as it is");
        return Ok(());
    }
    if exported_tables(&std::fs::read(wasm)?)? != exported_tables(&std::fs::read(&smaller)?)? {
        println!("this wasm-opt exports the wrong table (version 108 does): the module stays as it is");
        return Ok(std::fs::remove_file(smaller)?);
    }
    Ok(std::fs::rename(smaller, wasm)?)
}

/// Names and numbers of the tables that a module exports.
fn exported_tables(module: &[u8]) -> Result<Vec<(String, Option<usize>)>> {
    let module = Module::from_buffer(module)?;
    let number = |wanted| module.tables.iter().position(|table| table.id() == wanted);
    let tables = module.exports.iter().filter_map(|export| match export.item {
        ExportItem::Table(table) => Some((export.name.clone(), number(table))),
        _ => None,
    });
    Ok(tables.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With rustup's target, cargo puts what it builds for the host with the profile `web` into `target/web`; the engine
    /// was gathered there, and 33 MB of build scripts were shipped with it.
    #[test]
    fn engine_is_gathered_where_cargo_builds_nothing() {
        let manifest = std::fs::read_to_string(step::root().join("Cargo.toml")).unwrap();
        let profiles = manifest.lines().filter_map(|line| line.strip_prefix("[profile.")?.split(['.', ']']).next());
        let profiles: Vec<&str> = profiles.collect();
        assert!(profiles.contains(&"web"), "{profiles:?}");
        let cargos = ["debug", "release", "doc", "package", "tmp", TARGET];
        assert!(!profiles.iter().chain(&cargos).any(|name| Path::new(GATHERED).starts_with(name)), "{GATHERED}");
        assert!(GATHERED.contains('.'), "{GATHERED} may become a profile's name");
    }
}
