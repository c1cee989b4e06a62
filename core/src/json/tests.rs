//! The parser against `serde_json`.

use serde_json::Value;

use super::*;

/// The same value, as the oracle has it.
fn convert(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Flag(flag),
        Value::Number(number) => Json::Number(number.as_f64().unwrap()),
        Value::String(text) => Json::Text(text),
        Value::Array(items) => Json::List(items.into_iter().map(convert).collect()),
        Value::Object(entries) => Json::Object(entries.into_iter().map(|(key, value)| (key, convert(value))).collect()),
    }
}

/// Numbers as f32, which hides the last bits of those beyond 15 digits or 22 powers of ten; of entries with one key,
/// the last in the place of the first, as the oracle has it.
fn comparable(value: Json) -> Json {
    match value {
        Json::Number(number) => Json::Number(f64::from(number as f32)),
        Json::List(items) => Json::List(items.into_iter().map(comparable).collect()),
        Json::Object(entries) => {
            let mut kept: Vec<(String, Json)> = Vec::new();
            for (key, value) in entries {
                let value = comparable(value);
                match kept.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, old)) => *old = value,
                    None => kept.push((key, value)),
                }
            }
            Json::Object(kept)
        }
        other => other,
    }
}

/// Both accept the text with the same result, or both refuse it.
fn check(text: &str) {
    let wanted = serde_json::from_str::<Value>(text).ok().map(convert).map(comparable);
    assert_eq!(parse(text).ok().map(comparable), wanted, "{text:?}: {:?}", parse(text));
}

const SAMPLE: &str =
    r#" {"a" : [1, -2.5, 0.125e3, 4e-2,[],{ }], "name\n\u00e9\ud83d\ude00\/": "\"é\\", "t":true,"f":false ,"n":null} "#;

#[test]
fn values_are_those_of_serde_json() {
    check(SAMPLE);
    assert!(matches!(parse(SAMPLE), Ok(Json::Object(entries)) if entries.len() == 5));
    for text in [
        "",
        " ",
        "1 2",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{1:2}",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "1e+",
        "nul",
        "tru",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\u+123\"",
        "\"\t\"",
        "]",
        "[",
        "0",
        "-0",
        "1e400",
        "1e-400",
        "0e999999999999",
        "123456789012345",
        "1E5",
        "[[[[[[[[[1]]]]]]]]]",
    ] {
        check(text);
    }
    let deep = "[".repeat(100_000);
    assert!(parse(&deep).unwrap_err().contains("nesting"));
}

#[test]
fn a_changed_byte_is_judged_as_by_serde_json() {
    for i in 0..SAMPLE.len() {
        for byte in (0..128).map(char::from) {
            if SAMPLE.is_char_boundary(i) && SAMPLE.is_char_boundary(i + 1) {
                check(&format!("{}{byte}{}", &SAMPLE[..i], &SAMPLE[i + 1..]));
            }
        }
        if SAMPLE.is_char_boundary(i) {
            check(&SAMPLE[..i]);
        }
    }
}

#[test]
fn short_numbers_are_exact() {
    for text in ["0.1", "-2.5e-7", "123456789012345", "1e22", "4.35e15", "299792458e-22"] {
        assert_eq!(parse(text), Ok(Json::Number(text.parse().unwrap())), "{text}");
    }
}

#[test]
fn every_f32_comes_back() {
    for i in 0..100_000_u32 {
        let x = f32::from_bits(i.wrapping_mul(2_654_435_761));
        if x.is_finite() {
            assert_eq!(f32::from_text(&x.to_string()), Ok(x));
            assert_eq!(f32::from_text(&format!("{x:e}")), Ok(x));
        }
    }
}

#[test]
fn fields_are_taken_once_and_all() {
    let mut fields = Fields::parse(r#"{"a":3,"b":[1,2],"c":null,"d":1.5}"#).unwrap();
    assert_eq!(fields.required("a"), Ok(3_usize));
    assert_eq!(fields.required::<usize>("a").unwrap_err(), "missing field `a`");
    assert_eq!(fields.required("b"), Ok([1.0_f32, 2.0]));
    assert_eq!(fields.optional::<Option<usize>>("c"), Ok(Some(None)));
    assert_eq!(fields.optional::<usize>("d").unwrap_err(), "`d` should be a whole number");
    assert_eq!(fields.finish(), Ok(()));
    assert_eq!(Fields::parse(r#"{"x":3}"#).unwrap().finish().unwrap_err(), "unknown field `x`");
    assert!(
        <[usize; 2]>::from_text("[1]").is_err()
            && usize::from_text("-1").is_err()
            && usize::from_text("1e300").is_err()
    );
}
