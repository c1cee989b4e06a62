//! What a browser does not need: comments and indentation of the page and its styles (of scripts: `script.rs`), and long
//! names in the engine's script and its module. Whoever debugs looks into the sources.

use std::collections::HashMap;

use anyhow::{Context, Result};
use walrus::Module;

/// A style sheet without comments, indentation, and what spaces and line ends its punctuation makes needless. (A space
/// before a colon may part selectors.)
pub fn style(text: &str) -> String {
    let mut slim = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        slim.push_str(&rest[..start]);
        rest = rest[start..].split_once("*/").map_or("", |(_, rest)| rest);
    }
    slim.push_str(rest);
    let mut slim = html(&slim);
    for (wide, narrow) in
        [(" {", "{"), ("{\n", "{"), (";\n", ";"), ("}\n", "}"), (",\n", ","), (": ", ":"), (", ", ",")]
    {
        slim = slim.replace(wide, narrow);
    }
    slim
}

/// Lines without indentation, and no empty ones: nothing on the page shows more than one space.
pub fn html(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).fold(String::new(), |slim, line| slim + line + "\n")
}

/// The script that wasm-bindgen writes, with one way to start: with the module as a response of its own type.
pub fn bindings(script: &str) -> Result<String> {
    let end = script.find("async function __wbg_load(").context("wasm-bindgen starts modules by another function")?;
    let mut lines: Vec<String> = Vec::new();
    for line in script[..end].lines() {
        match lines.last_mut() {
            Some(last) if line.trim() == "return ret;" && last.trim_start().starts_with("const ret = ") => {
                *last = last.replacen("const ret =", "return", 1);
            }
            _ => lines.push(line.replace(": function(", "(")),
        }
    }
    lines.push(
        "export default async function (response) {\n\
         const { instance, module } = await WebAssembly.instantiateStreaming(response, __wbg_get_imports());\n\
         __wbg_finalize_init(instance, module);\n\
         }\n"
        .to_owned(),
    );
    Ok(lines.join("\n"))
}

/// Short names for what a module and its script pass each other: wasm-bindgen's are long, and tell functions apart by
/// hashes, which no compression makes smaller. What pages call keeps its name. The script's own functions and variables
/// get short names as well, and what only tools read goes.
pub fn names(script: &str, module: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut module = Module::from_buffer(module)?;
    let mut short: HashMap<String, String> = HashMap::new();
    let mut shorten = |name: &mut String| {
        let number = short.len();
        name.clone_from(short.entry(name.clone()).or_insert_with(|| format!("_{number}")));
    };
    let mut script = script.to_owned();
    for import in module.imports.iter_mut() {
        shorten(&mut import.name);
        script = script.replace(&format!("\"{}\"", import.module), "\"a\"");
        "a".clone_into(&mut import.module);
    }
    // All but `memory`; closures have the names of their types.
    for export in module.exports.iter_mut().filter(|export| export.name.contains('_')) {
        shorten(&mut export.name);
    }
    for name in script.lines().filter_map(declared) {
        let is_property = script.contains(&format!(".{name}")) || script.contains(&format!("{name}:"));
        if !is_property {
            shorten(&mut name.to_owned());
        }
    }
    for (digit, letter) in ('0'..='9').zip('A'..) {
        short.insert(format!("arg{digit}"), letter.to_string());
    }
    let data: Vec<_> = module.data.iter().map(walrus::Data::id).collect();
    for id in data {
        blank_paths(&mut module.data.get_mut(id).value);
    }
    let sections: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for section in sections {
        module.customs.delete(section);
    }
    module.producers.clear();
    let mut renamed = String::with_capacity(script.len());
    let mut rest = &*script;
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

/// Where the sources of libraries were on the machine that built the module, for the words of a panic: blanks instead, of
/// which a thousand are packed as one.
fn blank_paths(data: &mut [u8]) {
    for start in [&b"/rustc/"[..], b"/registry/src/"] {
        let mut from = 0;
        while let Some(at) = find(&data[from..], start).map(|at| from + at) {
            let path = data[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || b"/._-".contains(c)).count();
            let end = find(&data[at..at + path], b".rs").map_or(at, |length| at + length);
            data[at..end].fill(b' ');
            from = at + start.len();
        }
    }
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    data.windows(wanted.len()).position(|part| part == wanted)
}

/// What a line declares at the top of a script that wasm-bindgen wrote, whose statements there are not indented.
fn declared(line: &str) -> Option<&str> {
    let rest = ["function ", "async function ", "let ", "const "].iter().find_map(|start| line.strip_prefix(start))?;
    let name = &rest[..rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?];
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_keeps_its_selectors_and_values() {
        let source = "/* a\n * b */\n.c :hover,\n.d > e {\n  font: 1rem/1.5 \"F G\", serif; /* h */\n}\n@media (x: 1px) and (y) {\n  i {\n    j: k;\n  }\n}\n";
        assert_eq!(style(source), ".c :hover,.d > e{font:1rem/1.5 \"F G\",serif;}@media (x:1px) and (y){i{j:k;}}");
    }

    #[test]
    fn a_module_starts_in_one_way() {
        let script = "const imports = { a: function(arg0) {\n    const ret = arg0.b;\n    return ret;\n} };\n\
            async function __wbg_load(module, imports) {\n}\nexport { initSync };\n";
        let bound = bindings(script).unwrap();
        assert!(bound.starts_with("const imports = { a(arg0) {\n    return arg0.b;\n} };\nexport default"), "{bound}");
        assert!(!bound.contains("initSync"));
        assert!(bindings("another script").is_err());
    }

    #[test]
    fn paths_of_libraries_are_blanks_and_nothing_else_is() {
        let mut data =
            *b"is full/rustc/0a/library/core/src/a.rs/home/x/registry/src/i-1/b-2.0/lib.rs core/src/c.rs /rustc/ end";
        blank_paths(&mut data);
        let text = String::from_utf8(data.to_vec()).unwrap();
        assert!(text.starts_with("is full  ") && text.ends_with(".rs core/src/c.rs /rustc/ end"), "{text}");
        assert!(!text.contains("library") && !text.contains("b-2.0"), "{text}");
    }

    #[test]
    fn both_sides_get_the_same_short_names() {
        let mut module = Module::default();
        let ty = module.types.add(&[], &[]);
        let (get, _) = module.add_import_func("./bg.js", "__wbg_get_0123456789abcdef", ty);
        let (set, _) = module.add_import_func("./bg.js", "__wbg_get_fedcba9876543210", ty);
        module.exports.add("a___closure", get);
        module.exports.add("draw", set);
        let script = "\"./bg.js\": __wbg_get_0123456789abcdef: 1, __wbg_get_fedcba9876543210: wasm.a___closure(), wasm.draw(__wbg)\n\
            let Len = 0;\nconst draw = 1;\nfunction helper(a) {\n    const inner = Len;\n}\nhelper(inner)";
        let (script, module) = names(script, &module.emit_wasm()).unwrap();
        let (bound, own) = script.split_once('\n').unwrap();
        assert_eq!(bound, "\"a\": _0: 1, _1: wasm._2(), wasm.draw(__wbg)");
        // `draw` is what the module calls so, too.
        assert_eq!(own, "let _3 = 0;\nconst draw = 1;\nfunction _4(a) {\n    const inner = _3;\n}\n_4(inner)");
        let module = Module::from_buffer(&module).unwrap();
        assert_eq!(module.imports.iter().map(|import| &*import.name).collect::<Vec<_>>(), ["_0", "_1"]);
        assert_eq!(module.exports.iter().map(|export| &*export.name).collect::<Vec<_>>(), ["_2", "draw"]);
        assert!(names("", b"no module").is_err());
    }
}
