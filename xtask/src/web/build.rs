//! The engine for browsers: compiled, given its JavaScript side, made smaller.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use wasm_bindgen_cli_support::Bindgen;

use super::slim;
use crate::step;
use crate::wasm::{SIMD, TARGET, Toolchain};

/// What a build of the engine differs in: a browser refuses a whole module that has one instruction
/// it does not know, so there is one with vectors and one without.
const VARIANTS: [(&str, &str); 2] = [("onestep", SIMD), ("onestep-scalar", "")];

/// What Rust's code may use beyond the first version of WebAssembly; all browsers with WebGPU have it.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
];

/// Builds the engine into a folder: `onestep.js`, `onestep_bg.wasm` and the same without vectors.
/// `None` if it does not compile. `quick` leaves out the one without.
pub fn engine(quick: bool) -> Result<Option<PathBuf>> {
    let toolchain = Toolchain::ensure()?;
    let folder = step::target_dir().join("web");
    let _ = std::fs::remove_dir_all(&folder);
    for (name, flags) in VARIANTS.into_iter().take(if quick { 1 } else { VARIANTS.len() }) {
        if !toolchain.build(&["build", "--package", "onestep-web", "--profile", "web"], flags)? {
            return Ok(None);
        }
        let module = toolchain.target_dir().join(TARGET).join("web/onestep_web.wasm");
        bind(&module, &folder, name)?;
        let wasm = folder.join(format!("{name}_bg.wasm"));
        shrink(&wasm, !flags.is_empty())?;
        let script = folder.join(format!("{name}.js"));
        let mut module = std::fs::read(&wasm)?;
        let text = slim::imports(&std::fs::read_to_string(&script)?, &mut module)?;
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
    if exported_tables(&std::fs::read(wasm)?) != exported_tables(&std::fs::read(&smaller)?) {
        println!("this wasm-opt exports the wrong table (version 108 does): the module stays as it is");
        return Ok(std::fs::remove_file(smaller)?);
    }
    Ok(std::fs::rename(smaller, wasm)?)
}

/// Names and numbers of the tables that a module exports.
fn exported_tables(module: &[u8]) -> Option<Vec<(Vec<u8>, usize)>> {
    /// Number of the section of exports, and the kind of a table in it (WebAssembly core specification, 5.5).
    const EXPORTS: u8 = 7;
    const TABLE: u8 = 1;
    let mut rest = module.get(8..)?;
    loop {
        let (&section, after) = rest.split_first()?;
        let (size, after) = leb128(after)?;
        let (mut body, after) = after.split_at_checked(size)?;
        rest = after;
        if section != EXPORTS {
            continue;
        }
        let count;
        (count, body) = leb128(body)?;
        let mut tables = Vec::new();
        for _ in 0..count {
            let (length, after) = leb128(body)?;
            let (name, after) = after.split_at_checked(length)?;
            let (&kind, after) = after.split_first()?;
            let (index, after) = leb128(after)?;
            body = after;
            if kind == TABLE {
                tables.push((name.to_vec(), index));
            }
        }
        return Some(tables);
    }
}

/// A number of variable length, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_tables_are_found() {
        // Header; an empty section 1; exports: function `f` is 3, table `t` is 200.
        let module = b"\0asm\x01\0\0\0\x01\x01\0\x07\x0a\x02\x01f\0\x03\x01t\x01\xc8\x01";
        assert_eq!(exported_tables(module), Some(vec![(b"t".to_vec(), 200)]));
        assert_eq!(exported_tables(&module[..20]), None);
    }
}
