//! What was measured, as JSON and as tables.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::contestant::{ALL, Side};
use crate::{report, step};

/// Answers of one contestant to one question, in the order of the rounds.
struct Series {
    contestant: &'static str,
    work: String,
    values: Vec<f64>,
}

/// All answers.
pub struct Figures {
    /// How often each question is asked.
    pub rounds: u32,
    load: String,
    commit: String,
    versions: Vec<(&'static str, String)>,
    notes: Vec<String>,
    series: Vec<Series>,
}

/// A column of the first table: its title, its work, and what to make of a number.
type Column = (&'static str, &'static str, fn(f64) -> f64);

const COLUMNS: [Column; 8] = [
    ("mnist iteration, ms", "mnist iteration", |s| s * 1e3),
    ("mnist warm-up, ms", "mnist warmup", |s| s * 1e3),
    ("gaussians iteration, ms", "gaussians iteration", |s| s * 1e3),
    ("images/s, batch 1", "mnist sample 1", |s| 1.0 / s),
    ("images/s, batch 64", "mnist sample 64", |s| 64.0 / s),
    ("images/s, batch 256", "mnist sample 256", |s| 256.0 / s),
    ("peak memory, MB", "mnist memory", |bytes| bytes / 1e6),
    ("first picture, s", "mnist first picture", |s| s),
];

/// A row of the second table: what, and against whom; all on the processor.
type Duel = (&'static str, &'static str, &'static [Side]);

const DUELS: [Duel; 10] = [
    ("mnist iteration", "the best of PyTorch", &[Side::Torch]),
    ("mnist iteration", "burn", &[Side::Burn]),
    ("mnist warmup", "the best of PyTorch", &[Side::Torch]),
    ("gaussians iteration", "PyTorch", &[Side::Torch]),
    ("gaussians iteration", "burn", &[Side::Burn]),
    ("mnist sample 1", "the better of PyTorch and onnxruntime", &[Side::Torch, Side::Onnx]),
    ("mnist sample 64", "the better of PyTorch and onnxruntime", &[Side::Torch, Side::Onnx]),
    ("mnist sample 256", "the better of PyTorch and onnxruntime", &[Side::Torch, Side::Onnx]),
    ("mnist memory", "the best of PyTorch", &[Side::Torch]),
    ("mnist first picture", "the better of PyTorch and onnxruntime", &[Side::Torch, Side::Onnx]),
];

impl Figures {
    /// Nothing yet.
    pub fn new(rounds: u32) -> Result<Self> {
        let git = |args: &[&str]| step::capture(Command::new("git").args(args).current_dir(step::root()));
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.stdout.is_empty();
        let commit = git(&["rev-parse", "--short", "HEAD"])?.stdout.trim().to_owned();
        let commit = if changed { format!("{commit} with changes") } else { commit };
        let (versions, notes, series) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { rounds, load: report::load(), commit, versions, notes, series })
    }

    /// Something that a reader of the table has to know.
    pub fn note(&mut self, text: &str) {
        println!("{text}");
        self.notes.push(text.to_owned());
    }

    /// What a contestant says about itself.
    pub fn versions(&mut self, contestant: &'static str, text: &str) {
        if !self.versions.iter().any(|(name, _)| *name == contestant) {
            self.versions.push((contestant, text.to_owned()));
        }
    }

    /// An answer.
    pub fn add(&mut self, contestant: &'static str, preset: &str, work: &str, value: f64) {
        let work = format!("{preset} {work}");
        match self.series.iter_mut().find(|series| series.contestant == contestant && series.work == work) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series { contestant, work, values: vec![value] }),
        }
    }

    /// The last answer.
    pub fn last(&self, contestant: &str, preset: &str, work: &str) -> Option<f64> {
        self.values(contestant, &format!("{preset} {work}"))?.last().copied()
    }

    fn values(&self, contestant: &str, work: &str) -> Option<&[f64]> {
        let found = self.series.iter().find(|series| series.contestant == contestant && series.work == work)?;
        Some(&found.values)
    }

    /// Both tables, with what was measured on.
    pub fn text(&self) -> String {
        let today = report::today().unwrap_or_default();
        let mut text = format!(
            "Measured {today} by `cargo xtask bench peers`: commit {}, {}; load of the machine\nbefore the run: {}. \
             Medians of {} rounds, in turns (one where a run takes more than five seconds);\nin brackets the lowest \
             and the highest.\n\n",
            self.commit,
            report::machine(),
            self.load,
            self.rounds
        );
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let head = std::iter::once("").chain(COLUMNS.map(|(title, ..)| title));
        text += &row(head.map(str::to_owned).collect());
        text.extend(["|---|", &"---:|".repeat(COLUMNS.len()), "\n"]);
        let measured = |name: &str| self.series.iter().any(|series| series.contestant == name);
        let rows = ALL.iter().filter(|contestant| measured(contestant.name)).map(|contestant| {
            let cell = |(_, work, unit): Column| {
                let values = self.values(contestant.name, work).unwrap_or_default();
                spread(&values.iter().map(|value| unit(*value)).collect::<Vec<_>>())
            };
            row(std::iter::once(contestant.name.to_owned()).chain(COLUMNS.map(cell)).collect())
        });
        text.extend(rows);
        text += "\n| work | onestep against | ratio of medians (ratios in one round) |\n|---|---|---:|\n";
        text.extend(DUELS.iter().filter_map(|duel| self.duel(*duel)));
        let versions: Vec<String> = self.versions.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        let notes = std::iter::once(versions.join("; ") + ".").chain(self.notes.iter().cloned());
        text.extend(notes.map(|note| format!("\n{note}\n")));
        text
    }

    /// A row: how many times less than the best of the others onestep needs.
    fn duel(&self, (work, against, sides): Duel) -> Option<String> {
        let of = |own: bool| {
            let fits = move |side: Side| if own { side == Side::Onestep } else { sides.contains(&side) };
            let all = ALL.iter().filter(move |c| fits(c.side) && !c.shaders);
            let values = all.filter_map(|c| self.values(c.name, work));
            values.min_by(|a, b| median(a).total_cmp(&median(b)))
        };
        let (own, other) = (of(true)?, of(false)?);
        let ratios: Vec<f64> = other.iter().zip(own).map(|(other, own)| other / own).collect();
        let [low, high] = ends(&ratios);
        let ratio = median(other) / median(own);
        Some(format!("| {work} | {against} | {ratio:.2}x ({low:.2} to {high:.2}) |\n"))
    }

    /// Writes every number into `docs/data/peers.json`.
    pub fn save(&self) -> Result<()> {
        let series: Vec<_> = self
            .series
            .iter()
            .map(|s| json!({ "contestant": s.contestant, "work": s.work, "values": s.values }))
            .collect();
        let versions: serde_json::Map<_, _> =
            self.versions.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into())).collect();
        let all = json!({
            "date": report::today()?, "commit": self.commit, "machine": report::machine(), "load": self.load,
            "rounds": self.rounds, "units": "seconds per run; memory in bytes", "versions": versions,
            "notes": self.notes, "series": series,
        });
        let text = serde_json::to_string_pretty(&all)? + "\n";
        Ok(std::fs::write(step::root().join("docs/data/peers.json"), text)?)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

/// Lowest and highest.
fn ends(values: &[f64]) -> [f64; 2] {
    [values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max)]
}

/// Median, and both ends if there are several values.
fn spread(values: &[f64]) -> String {
    let [low, high] = ends(values);
    match values.len() {
        0 => String::new(),
        1 => number(low),
        _ => format!("{} ({} to {})", number(median(values)), number(low), number(high)),
    }
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onestep_on_the_processor_meets_the_best_of_the_others() {
        let mut figures = Figures {
            rounds: 3,
            load: String::new(),
            commit: "abc".into(),
            versions: vec![],
            notes: vec![],
            series: vec![],
        };
        let mut add =
            |name, values: &[f64]| values.iter().for_each(|value| figures.add(name, "mnist", "iteration", *value));
        add("onestep, processor", &[0.1, 0.2, 0.1]);
        add("onestep, WGSL", &[0.01, 0.01, 0.01]);
        add("PyTorch, eager", &[0.9, 0.8, 0.7]);
        add("PyTorch, channels-last", &[0.3, 0.4, 0.2]);
        add("burn, flex", &[5.0]);
        let text = figures.text();
        assert!(text.contains("| mnist iteration | the best of PyTorch | 3.00x (2.00 to 3.00) |"), "{text}");
        assert!(text.contains("| mnist iteration | burn | 50.00x (50.00 to 50.00) |"), "{text}");
        assert!(text.contains("| PyTorch, channels-last | 300 (200 to 400) |  |"), "{text}");
        assert!(!text.contains("compiled"), "who was not measured has no row: {text}");
    }
}
