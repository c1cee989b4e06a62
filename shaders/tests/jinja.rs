//! Our template engine against minijinja: every kernel, in every variant, to the byte.

mod cases;
#[path = "../slim.rs"]
mod slim;

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, Value};
use onestep_shaders::{Generated, Tile, Variant};

/// The oracle, with all shaders, each as `text` makes it.
fn environment(text: fn(&str) -> String) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.add_function("range", |n: u32| (0..n).collect::<Vec<u32>>());
    environment.add_filter("replace", |text: &str, from: &str, to: &str| text.replace(from, to));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for folder in ["lib", "kernels"] {
        // As cargo starts tests: in their package's folder. That of their compilation may be another checkout's.
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            environment.add_template_owned(name, text(&std::fs::read_to_string(entry.path()).unwrap())).unwrap();
        }
    }
    environment
}

/// The variables of a template.
fn values(generated: &Generated, variant: Variant) -> BTreeMap<&'static str, Value> {
    let mut values = BTreeMap::from([
        ("run", Value::from(generated.run)),
        ("scalars", Value::from(generated.scalars)),
        ("math", Value::from(generated.math)),
        ("random", Value::from(generated.random)),
        ("bindings", Value::from(&generated.bindings)),
        ("functions", Value::from(&generated.functions)),
    ]);
    let numbers = match variant {
        Variant::Items => vec![],
        Variant::Rows { ox, ry } => vec![("ox", ox), ("ry", ry)],
        Variant::Tile(Tile { tm, tn, tx, ty, tk, shared, name: _ }) => {
            vec![("tm", tm), ("tn", tn), ("tx", tx), ("ty", ty), ("tk", tk), ("shared", shared.into())]
        }
    };
    values.extend(numbers.into_iter().chain(generated.values.clone()).map(|(name, n)| (name, Value::from(n))));
    values
}

#[test]
fn every_variant_of_every_kernel_is_what_minijinja_makes_of_it() {
    let environment = environment(str::to_owned);
    let cases = cases::all();
    assert!(cases.len() > 1000, "only {} cases", cases.len());
    for case in cases {
        let template = environment.get_template(&format!("kernels/{}.wgsl", case.kernel)).unwrap();
        let wanted = template.render(values(&case.generated, case.variant)).unwrap();
        let got = case.text();
        let differ = got.lines().zip(wanted.lines()).find(|(got, wanted)| got != wanted);
        assert!(got == wanted, "{}: first differing lines {differ:?}", case.name());
    }
}

#[test]
fn what_browsers_download_is_the_same_code() {
    let environment = environment(slim::slim);
    for case in cases::all() {
        let template = environment.get_template(&format!("kernels/{}.wgsl", case.kernel)).unwrap();
        let got = template.render(values(&case.generated, case.variant)).unwrap();
        assert!(slim::slim(&got) == slim::slim(&case.text()), "{}", case.name());
    }
}
