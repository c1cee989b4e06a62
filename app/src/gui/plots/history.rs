//! The curves that a run left on the disk.
//!
//! `stats.jsonl` in a run's folder has a JSON object per line: `step`, and values by name. Numbers that JSON
//! can't hold (NaN) are `null` there. A process that is killed leaves a part of a line at the end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use onestep_core::files::open;
use serde_json::Value;

use super::series::Curve;

/// Curves by the names of statistics.
pub type Curves = BTreeMap<String, Curve>;

/// Appends values to curves.
pub fn push(curves: &mut Curves, step: u64, values: impl IntoIterator<Item = (impl AsRef<str>, f64)>) {
    for (name, value) in values {
        let name = name.as_ref();
        match curves.get_mut(name) {
            Some(curve) => curve.push(step, value),
            None => curves.entry(name.to_owned()).or_default().push(step, value),
        }
    }
}

/// What a run's file says.
pub struct History {
    /// Its curves.
    pub curves: Curves,
    /// Lines that are damaged, apart from an incomplete last one.
    pub damaged: usize,
}

/// Reads the statistics in a run's folder.
pub fn read(run: &Path) -> Result<History, String> {
    let path = run.join("stats.jsonl");
    let fail = |error: std::io::Error| {
        let fix = "choose the folder of a run, such as runs/00000-mnist-diffratio-b64";
        format!("{}: wanted to read a run's curves, got \"{error}\"; {fix}", path.display())
    };
    let mut file = BufReader::with_capacity(1 << 20, open(&path).map_err(fail)?);
    let mut history = History { curves: Curves::new(), damaged: 0 };
    let mut line = Vec::new();
    let mut lines = 0;
    while file.read_until(b'\n', &mut line).map_err(fail)? > 0 {
        if let Some((step, values)) = parse(&line) {
            push(&mut history.curves, step, values);
            lines += 1;
        } else if line.ends_with(b"\n") && !line.trim_ascii().is_empty() {
            history.damaged += 1;
        }
        line.clear();
    }
    if lines == 0 && history.damaged > 0 {
        let fix = "choose another run, or remove the file";
        return Err(format!("{}: wanted lines of JSON with a step, got none; {fix}", path.display()));
    }
    Ok(history)
}

/// Step and values of a line. A resumed run appends to what its killed process left behind of a
/// line, so the last object of a line is tried as well.
fn parse(line: &[u8]) -> Option<(u64, Vec<(String, f64)>)> {
    const START: &[u8] = b"{\"step\":";
    let object = |text: &[u8]| serde_json::from_slice::<BTreeMap<String, Value>>(text).ok();
    let mut values = object(line).or_else(|| {
        let start = line.windows(START.len()).rposition(|window| window == START)?;
        object(&line[start..])
    })?;
    let step = values.remove("step")?.as_u64()?;
    Some((step, values.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> Result<History, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stats.jsonl"), text).unwrap();
        read(folder.path())
    }

    fn points(history: &History, name: &str) -> Vec<(u64, f64)> {
        history.curves[name].linear().iter().collect()
    }

    #[test]
    fn lines_become_curves() {
        let text = b"{\"step\":50,\"Loss/ratio\":1.25,\"Grad/ratio\":null}\n{\"step\":100,\"Loss/ratio\":1}\n";
        let history = read_text(text).unwrap();
        assert_eq!(history.damaged, 0);
        assert_eq!(points(&history, "Loss/ratio"), [(50, 1.25), (100, 1.0)]);
        assert!(!history.curves.contains_key("Grad/ratio"), "null is no value");
    }

    #[test]
    fn an_interrupted_last_line_is_skipped() {
        let history = read_text(b"{\"step\":1,\"a\":1}\n{\"step\":2,\"a\"").unwrap();
        assert_eq!((points(&history, "a"), history.damaged), (vec![(1, 1.0)], 0));
        // A run that was killed at its first line can be resumed.
        assert!(read_text(b"{\"st").unwrap().curves.is_empty());
        assert!(read_text(b"").unwrap().curves.is_empty());
    }

    #[test]
    fn a_line_behind_an_interrupted_one_is_read() {
        let history = read_text(b"{\"step\":1,\"a\":1}\n{\"step\":2,\"a{\"step\":3,\"a\":3}\n").unwrap();
        assert_eq!((points(&history, "a"), history.damaged), (vec![(1, 1.0), (3, 3.0)], 0));
    }

    #[test]
    fn other_damage_is_counted() {
        let text = b"\xff\x00nonsense\n{\"step\":1,\"a\":1}\n{\"a\":2}\n[]\n\n{\"step\":-1}\n{\"step\":4,\"a\":4}\n";
        let history = read_text(text).unwrap();
        assert_eq!((points(&history, "a"), history.damaged), (vec![(1, 1.0), (4, 4.0)], 4));
    }

    #[test]
    fn a_folder_without_curves_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let text = read(folder.path()).err().expect("there is no file");
        assert!(text.contains("stats.jsonl") && text.contains("choose the folder of a run"), "{text}");
        let text = read_text(b"hello\nworld\n").err().expect("there is no JSON");
        assert!(text.contains("stats.jsonl") && text.contains("choose another run"), "{text}");
    }
}
