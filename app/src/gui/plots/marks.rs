//! Steps at which something was changed, drawn over the curves.
//!
//! A run's `log.txt` has an object of JSON per event: `changed` for each new value of a setting, `phase` where a part of the
//! run begins, and at the start and after each resume `started` and where it is.

use std::io::Read;
use std::path::Path;

use onestep_core::files::open;
use serde::Deserialize;

/// Changes of a setting that follow each other so soon are one, in seconds: a key that is held down, and a drag in a log.
const SOON: f64 = 1.0;

/// Something that happened at a step.
#[derive(Debug)]
pub struct Mark {
    /// When.
    pub step: u64,
    /// What.
    pub text: String,
    /// If it was a setting.
    pub change: Option<Change>,
}

impl Mark {
    /// A part of the run begins.
    pub fn phase(step: u64, name: &str) -> Self {
        Self { step, text: format!("{name} begins"), change: None }
    }
}

/// What a later change of the same setting has to know.
#[derive(Debug)]
pub struct Change {
    knob: String,
    before: String,
    /// Seconds of the run at the last change.
    secs: f64,
}

/// Adds a mark in the order of steps.
pub fn insert(marks: &mut Vec<Mark>, mark: Mark) {
    let place = marks.partition_point(|other| other.step <= mark.step);
    marks.insert(place, mark);
}

/// Adds a change of a setting, or carries on the last one if it `goes_on` or comes soon. Marks of later steps go: a run
/// that was resumed from an earlier checkpoint makes those steps anew, and the same changes.
pub fn change(marks: &mut Vec<Mark>, step: u64, secs: f64, knob: &str, [before, after]: [&str; 2], goes_on: bool) {
    let again = text(knob, before, after);
    marks.retain(|mark| mark.step <= step && !(mark.step == step && mark.text == again));
    if let Some(mark) = marks.last_mut()
        && let Some(last) = &mut mark.change
        && last.knob == knob
        && (goes_on || (0.0..=SOON).contains(&(secs - last.secs)))
    {
        if last.before == after {
            marks.pop();
            return;
        }
        mark.text = text(knob, &last.before, after);
        last.secs = secs;
        return;
    }
    let change = Change { knob: knob.to_owned(), before: before.to_owned(), secs };
    insert(marks, Mark { step, text: text(knob, before, after), change: Some(change) });
}

fn text(knob: &str, before: &str, after: &str) -> String {
    format!("{knob}: {before} to {after}")
}

/// A line of a run's log that says something of marks.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Started { resumed_at: u64 },
    Phase { phase: String, step: u64 },
    Changed { step: u64, elapsed_secs: f64, knob: String, before: String, after: String },
}

/// The marks in a run's folder. A log that can't be read has none: marks explain curves, and those are read elsewhere.
pub fn read(run: &Path) -> Vec<Mark> {
    let mut log = Vec::new();
    let _ = open(&run.join("log.txt")).and_then(|mut file| file.read_to_end(&mut log));
    let (mut marks, mut goes_on): (Vec<Mark>, bool) = (Vec::new(), false);
    // What was changed last, and when: where a step takes longer than a second, a drag changes its setting at each.
    let mut last: Option<(String, u64)> = None;
    for line in log.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Started { resumed_at }) => {
                marks.retain(|mark| mark.step <= resumed_at);
                goes_on = true;
            }
            Ok(Line::Phase { phase, step }) => {
                if !std::mem::take(&mut goes_on) {
                    insert(&mut marks, Mark::phase(step, &phase));
                }
            }
            Ok(Line::Changed { step, elapsed_secs, knob, before, after }) => {
                let drags = last.take().is_some_and(|(other, at)| other == knob && (at..=at + 1).contains(&step));
                change(&mut marks, step, elapsed_secs, &knob, [&before, &after], drags);
                last = Some((knob, step));
            }
            Err(_) => {}
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(marks: &[Mark]) -> Vec<&str> {
        marks.iter().map(|mark| mark.text.as_str()).collect()
    }

    /// In the log of a run whose steps take two seconds, as after a resume.
    #[test]
    fn a_drag_through_slow_steps_is_one_mark_of_the_log() {
        let run = tempfile::tempdir().unwrap();
        let line = |step: u64, knob: &str, before: &str, after: &str| {
            let secs = 2 * step;
            format!(
                "{{\"event\":\"changed\",\"step\":{step},\"elapsed_secs\":{secs},\"knob\":\"{knob}\",\"before\":\"{before}\",\"after\":\"{after}\"}}\n"
            )
        };
        let lines = [
            line(5, "ema", "0.9", "0.91"),
            line(6, "ema", "0.91", "0.92"),
            line(7, "ema", "0.92", "0.95"),
            line(9, "ema", "0.95", "0.99"),
            line(10, "clip", "1.0", "2.0"),
        ];
        std::fs::write(run.path().join("log.txt"), lines.concat()).unwrap();
        assert_eq!(texts(&read(run.path())), ["ema: 0.9 to 0.95", "ema: 0.95 to 0.99", "clip: 1.0 to 2.0"]);
    }

    #[test]
    fn a_drag_is_one_mark() {
        let mut marks = Vec::new();
        change(&mut marks, 5, 10.0, "ema", ["0.9", "0.91"], false);
        change(&mut marks, 6, 10.6, "ema", ["0.91", "0.92"], false);
        change(&mut marks, 9, 11.2, "ema", ["0.92", "0.95"], false);
        change(&mut marks, 9, 11.3, "clip", ["1.0", "2.0"], false);
        change(&mut marks, 50, 40.0, "r1", ["0.0", "1.0"], false);
        change(&mut marks, 40, 30.0, "ema", ["0.95", "0.9"], false);
        assert_eq!(texts(&marks), ["ema: 0.9 to 0.95", "clip: 1.0 to 2.0", "ema: 0.95 to 0.9"]);
        assert_eq!(marks[0].step, 5);
    }

    #[test]
    fn a_change_that_a_resumed_run_makes_again_is_one_mark() {
        let mut marks = Vec::new();
        change(&mut marks, 150, 10.0, "ema", ["0.9", "0.5"], false);
        change(&mut marks, 150, 14.0, "ema", ["0.9", "0.5"], false);
        change(&mut marks, 150, 24.0, "ema", ["0.5", "0.9"], false);
        assert_eq!(texts(&marks), ["ema: 0.9 to 0.5", "ema: 0.5 to 0.9"]);
    }

    #[test]
    fn a_slow_drag_is_one_mark_and_none_if_it_comes_back() {
        let mut marks = Vec::new();
        change(&mut marks, 5, 10.0, "ema", ["0.9", "0.91"], false);
        change(&mut marks, 9, 13.0, "ema", ["0.91", "0.95"], true);
        change(&mut marks, 20, 20.0, "ema", ["0.95", "0.9"], false);
        assert_eq!(texts(&marks), ["ema: 0.9 to 0.95", "ema: 0.95 to 0.9"]);
        change(&mut marks, 30, 30.0, "ema", ["0.9", "0.95"], true);
        assert_eq!(texts(&marks), ["ema: 0.9 to 0.95"]);
    }

    /// Phases that are made again after a resume are one mark, and where a run goes on nothing begins.
    #[test]
    fn phases_are_read_from_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [
            r#"{"event":"started","resumed_at":0}"#,
            r#"{"event":"phase","phase":"warm-up","step":0}"#,
            r#"{"event":"phase","phase":"distillation","step":300}"#,
            r#"{"event":"started","resumed_at":250}"#,
            r#"{"event":"phase","phase":"warm-up","step":250}"#,
            r#"{"event":"phase","phase":"distillation","step":300}"#,
        ];
        std::fs::write(folder.path().join("log.txt"), lines.join("\n")).unwrap();
        let marks = read(folder.path());
        assert_eq!((marks.len(), marks[0].step, &marks[0].text[..]), (1, 300, "distillation begins"));
    }

    #[test]
    fn marks_are_read_from_a_log_with_other_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = concat!(
            r#"{"event":"started","resumed_at":0}"#,
            "\nnot JSON\n",
            r#"{"event":"changed","step":7,"elapsed_secs":1.5,"knob":"clip","before":"1.0","after":"0.5"}"#,
            "\n",
            r#"{"event":"changed","step":8,"elapsed"#,
        );
        std::fs::write(folder.path().join("log.txt"), log).unwrap();
        assert_eq!(texts(&read(folder.path())), ["clip: 1.0 to 0.5"]);
        assert!(read(&folder.path().join("nowhere")).is_empty());
    }
}
