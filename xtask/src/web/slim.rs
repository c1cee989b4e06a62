//! What a browser does not need: comments and indentation of scripts and styles, and hashes in the engine's imports.
//!
//! Both are a quarter of what remains beside the module, at no cost but a look at the sources where somebody debugs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// A script or style without lines that are comments as a whole, and without indentation. A text whose lines mean
/// something to JavaScript (a template over several of them) comes back as it is.
pub fn text(text: &str) -> String {
    if text.lines().any(|line| line.matches('`').count() % 2 == 1) {
        return text.to_owned();
    }
    let mut slim = String::with_capacity(text.len());
    let mut in_comment = false;
    for line in text.lines().map(str::trim) {
        let starts = line.starts_with("/*");
        // A comment before code on its line stays.
        let whole = in_comment || (starts && line.find("*/").is_none_or(|end| end + 2 == line.len()));
        if whole {
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            slim.push_str(line);
            slim.push('\n');
        }
    }
    slim
}

/// Numbers the functions that a module imports from its script: wasm-bindgen tells them apart by 16 digits of a hash,
/// which no compression makes smaller. Names keep their lengths, so that nothing in the module moves.
pub fn imports(script: &str, module: &mut [u8]) -> Result<String> {
    const START: &str = "__wbg_";
    const DIGITS: usize = 16;
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut numbers: BTreeMap<&str, String> = BTreeMap::new();
    for (at, _) in script.match_indices(START) {
        let name = &script[at..];
        let name = &name[..name.find(|c| !is_name(c)).unwrap_or(name.len())];
        let Some((stem, hash)) = name.len().checked_sub(DIGITS).map(|end| name.split_at(end)) else { continue };
        if stem.ends_with('_') && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let number = numbers.len();
            numbers.entry(name).or_insert_with(|| format!("{stem}{number:0DIGITS$}"));
        }
    }
    let mut script = script.to_owned();
    for (old, new) in &numbers {
        let at = module.windows(old.len()).position(|bytes| bytes == old.as_bytes());
        let at = at.with_context(|| format!("the module does not import {old}"))?;
        module[at..at + old.len()].copy_from_slice(new.as_bytes());
        script = script.replace(old, new);
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_go_and_code_stays() {
        let source = "// a\n/** b\n * c\n */\nlet x = 1; // d\n\n  /* e */ y();\n  /* f */\n  z(\"/*\");\n";
        assert_eq!(text(source), "let x = 1; // d\n/* e */ y();\nz(\"/*\");\n");
        let template = "  f(`a\n  // b`);\n";
        assert_eq!(text(template), template);
    }

    #[test]
    fn imports_are_renamed_on_both_sides() {
        let script = "__wbg_get_0123456789abcdef: get, __wbg_ptr, __wbg_get_fedcba9876543210()";
        let mut module = b"\0__wbg_get_fedcba9876543210\0__wbg_get_0123456789abcdef".to_vec();
        let slim = imports(script, &mut module).unwrap();
        assert_eq!(slim, "__wbg_get_0000000000000000: get, __wbg_ptr, __wbg_get_0000000000000001()");
        assert_eq!(module, b"\0__wbg_get_0000000000000001\0__wbg_get_0000000000000000");
        assert!(imports(script, &mut []).is_err());
    }
}
