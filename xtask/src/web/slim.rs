//! What a browser does not need: comments and indentation of scripts and styles, and long names between the engine's
//! script and its module. Whoever debugs looks into the sources.

use std::collections::HashMap;

use anyhow::Result;
use walrus::Module;

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

/// Short names for what a module and its script pass each other: wasm-bindgen's are long, and tell functions apart by
/// hashes, which no compression makes smaller. What pages call keeps its name.
pub fn names(script: &str, module: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut module = Module::from_buffer(module)?;
    let mut short: HashMap<String, String> = HashMap::new();
    let mut shorten = |name: &mut String| {
        let number = short.len();
        name.clone_from(short.entry(name.clone()).or_insert_with(|| format!("_{number}")));
    };
    for import in module.imports.iter_mut() {
        shorten(&mut import.name);
    }
    // Closures have the names of their types.
    for export in module.exports.iter_mut().filter(|export| export.name.contains("___")) {
        shorten(&mut export.name);
    }
    let mut renamed = String::with_capacity(script.len());
    let mut rest = script;
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        renamed.push_str(short.get(name).map_or(name, String::as_str));
        let next = rest[end..].find(is_name).map_or(rest.len(), |gap| end + gap);
        renamed.push_str(&rest[end..next]);
        rest = &rest[next..];
    }
    Ok((renamed, module.emit_wasm()))
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
    fn both_sides_get_the_same_short_names() {
        let mut module = Module::default();
        let ty = module.types.add(&[], &[]);
        let (get, _) = module.add_import_func("./bg.js", "__wbg_get_0123456789abcdef", ty);
        let (set, _) = module.add_import_func("./bg.js", "__wbg_get_fedcba9876543210", ty);
        module.exports.add("a___closure", get);
        module.exports.add("draw", set);
        let script = "__wbg_get_0123456789abcdef: 1, __wbg_get_fedcba9876543210: wasm.a___closure(), wasm.draw(__wbg)";
        let (script, module) = names(script, &module.emit_wasm()).unwrap();
        assert_eq!(script, "_0: 1, _1: wasm._2(), wasm.draw(__wbg)");
        let module = Module::from_buffer(&module).unwrap();
        assert_eq!(module.imports.iter().map(|import| &*import.name).collect::<Vec<_>>(), ["_0", "_1"]);
        assert_eq!(module.exports.iter().map(|export| &*export.name).collect::<Vec<_>>(), ["_2", "draw"]);
        assert!(names("", b"no module").is_err());
    }
}
