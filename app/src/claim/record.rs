//! What a claim's runs gave, and what follows from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use onestep_core::files::atomic_write;
use serde::{Deserialize, Serialize};

use super::claims::{Check, Claim};
use crate::compare::mean_and_range;
use crate::exit::bad_input;
use crate::output::json_by_runs;

/// Everything that was measured for a claim. What is claimed stands in the program, and the verdict follows from both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The method.
    pub claim: String,
    /// The command's words, so that it can be run again.
    pub command: String,
    pub device: String,
    pub data: String,
    pub budget: String,
    /// Seeds that were asked for, from 1 on.
    pub seeds: u32,
    pub runs: Vec<Run>,
}

/// One arm with one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub arm: String,
    pub seed: u32,
    /// Why there is no result, if there is none.
    pub problem: Option<String>,
    /// Turns by phase.
    pub turns: Vec<(String, u64)>,
    /// Time in all, measuring left out.
    pub secs: f64,
    pub rows: Vec<Row>,
}

/// What was measured of one way to draw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    /// Of the network, per sample.
    pub evaluations: usize,
    pub values: BTreeMap<String, f64>,
}

/// Values of which more is better, by the beginning of their names.
const MORE_IS_BETTER: [&str; 3] = ["class_accuracy", "high_quality", "modes_reached"];

/// How a check came out.
pub struct Outcome<'a> {
    pub check: &'a Check,
    /// Values of both rows; infinite where a run failed.
    pub values: [Vec<f64>; 2],
    /// Seeds with which it holds.
    pub holds: usize,
}

impl Record {
    /// The record in a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| bad_input!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| bad_input!("{}: is damaged: {error}", path.display()))
    }

    /// Writes the record to a file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let json = json_by_runs(&Self { runs: Vec::new(), ..self.clone() }, &self.runs)?;
        Ok(atomic_write(path, |file| writeln!(file, "{json}"))?)
    }

    /// The run of an arm, if it was done.
    pub fn run(&self, arm: &str, seed: u32) -> Option<&Run> {
        self.runs.iter().find(|run| run.arm == arm && run.seed == seed)
    }

    /// A value of a row with a seed; infinitely bad where the row's run failed.
    fn value(&self, claim: &Claim, row: &str, value: &str, seed: u32) -> Option<f64> {
        let arm = claim.arms.iter().find(|arm| arm.rows().iter().any(|name| name == row))?;
        let run = self.run(arm.name, seed)?;
        if run.problem.is_some() {
            let more = MORE_IS_BETTER.iter().any(|stem| value.starts_with(stem));
            return Some(if more { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        run.rows.iter().find(|measured| measured.name == row)?.values.get(value).copied()
    }

    /// The value with each seed that has one, in their order.
    fn values(&self, claim: &Claim, row: &str, value: &str) -> Vec<f64> {
        (1..=self.seeds).filter_map(|seed| self.value(claim, row, value, seed)).collect()
    }

    /// What became of each check.
    pub fn outcomes<'a>(&self, claim: &'a Claim) -> Vec<Outcome<'a>> {
        let outcome = |check: &'a Check| {
            let values = [check.row, check.than].map(|row| self.values(claim, row, check.value));
            let of = |row, seed| self.value(claim, row, check.value, seed);
            let held = |seed: &u32| {
                of(check.row, *seed).zip(of(check.than, *seed)).is_some_and(|(left, right)| left < check.times * right)
            };
            let holds = (1..=self.seeds).filter(held).count();
            Outcome { check, values, holds }
        };
        claim.checks.iter().map(outcome).collect()
    }

    /// Whether every check holds with every seed.
    pub fn held(&self, claim: &Claim) -> bool {
        self.seeds > 0 && self.outcomes(claim).iter().all(|outcome| outcome.holds == self.seeds as usize)
    }

    /// A row per way to draw: mean and range over seeds.
    pub fn table(&self, claim: &Claim) -> String {
        let rows: Vec<String> = claim.arms.iter().flat_map(super::claims::Arm::rows).collect();
        let all = || self.runs.iter().flat_map(|run| &run.rows);
        let mut names: Vec<&str> = Vec::new();
        for name in all().flat_map(|row| row.values.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut head = vec![claim.method.to_owned(), "evaluations".to_owned()];
        head.extend(names.iter().map(|name| (*name).to_owned()));
        let mut text = line(&head) + &line(&head.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
        for row in &rows {
            let evaluations = all().find(|measured| measured.name == *row).map(|measured| measured.evaluations);
            let mut cells = vec![row.clone(), evaluations.map_or(String::new(), |n| n.to_string())];
            cells.extend(names.iter().map(|name| summary(&self.values(claim, row, name))));
            text += &line(&cells);
        }
        for run in self.runs.iter().filter(|run| run.problem.is_some()) {
            let problem = run.problem.as_deref().unwrap_or_default();
            let _ = writeln!(text, "\n{} with seed {}: {problem}", run.arm, run.seed);
        }
        text
    }
}

impl Outcome<'_> {
    /// What was compared, and how it came out, in one line.
    pub fn line(&self) -> String {
        let Check { value, row, times, than } = *self.check;
        let [left, right] = &self.values;
        let factor = if (times - 1.0).abs() < 1e-12 { String::new() } else { format!("{times} times ") };
        let seeds = left.len().max(right.len());
        format!(
            "{value} of {row}, {}, below {factor}that of {than}, {}: with {} of {seeds} seeds",
            summary(left),
            summary(right),
            self.holds
        )
    }
}

/// Mean and range; a run that failed has no number.
fn summary(values: &[f64]) -> String {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    match values.len() - finite.len() {
        0 => mean_and_range(&finite),
        failed if finite.is_empty() => format!("failed {failed} times"),
        failed => format!("{}, failed {failed} times", mean_and_range(&finite)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::Arm;
    use super::*;

    const CLAIM: Claim = Claim {
        method: "dmd",
        says: "",
        paper: "",
        data: "gaussians",
        budget: "1GFLOP",
        arms: &[Arm { teacher: &[1], ..Arm::of("dmd") }, Arm::of("sid")],
        checks: &[
            Check { value: "kl", row: "dmd", times: 0.5, than: "teacher in 1 step" },
            Check { value: "kl", row: "dmd", times: 1.0, than: "sid" },
        ],
        why: "",
    };

    fn run(arm: &str, seed: u32, values: &[(&str, f64)]) -> Run {
        let row = |(name, value): &(&str, f64)| Row {
            name: (*name).to_owned(),
            evaluations: 1,
            values: BTreeMap::from([("kl".to_owned(), *value)]),
        };
        Run { arm: arm.to_owned(), seed, rows: values.iter().map(row).collect(), ..Run::default() }
    }

    fn record(of_sid: Run) -> Record {
        let dmd = |seed, kl| run("dmd", seed, &[("dmd", kl), ("teacher in 1 step", 1.0)]);
        Record {
            seeds: 2,
            runs: vec![dmd(1, 0.25), dmd(2, 0.375), run("sid", 1, &[("sid", 0.5)]), of_sid],
            ..Record::default()
        }
    }

    #[test]
    fn a_claim_holds_when_every_check_does_with_every_seed() {
        let held = record(run("sid", 2, &[("sid", 0.5)]));
        assert!(held.held(&CLAIM));
        let lines: Vec<String> = held.outcomes(&CLAIM).iter().map(Outcome::line).collect();
        assert_eq!(
            lines[0],
            "kl of dmd, 0.312 (0.250 to 0.375), below 0.5 times that of teacher in 1 step, 1.000 (1.000 to 1.000): with 2 of 2 seeds"
        );
        let one_worse = record(run("sid", 2, &[("sid", 0.3)]));
        assert!(!one_worse.held(&CLAIM) && one_worse.outcomes(&CLAIM)[1].holds == 1);
        assert!(!record(run("sid", 3, &[])).held(&CLAIM), "a seed that was not run decides nothing");
        assert!(!record(run("sid", 2, &[("sid", f64::NAN)])).held(&CLAIM));
    }

    /// Values of two seeds were compared where one row lacked the first.
    #[test]
    fn values_of_one_seed_are_compared() {
        let mut some = record(run("sid", 2, &[("sid", 0.3)]));
        some.runs.retain(|run| run.arm != "dmd" || run.seed != 1);
        let outcomes = some.outcomes(&CLAIM);
        assert_eq!(outcomes[1].values, [vec![0.375], vec![0.5, 0.3]]);
        assert_eq!(outcomes[1].holds, 0, "0.375 is that of the second seed");
    }

    #[test]
    fn a_run_that_failed_is_worse_than_any_other() {
        let failed = Run { problem: Some("loss became NaN".into()), ..run("sid", 2, &[]) };
        let record = record(failed);
        assert!(record.held(&CLAIM));
        assert_eq!(record.value(&CLAIM, "sid", "class_accuracy_20k", 2), Some(f64::NEG_INFINITY));
        let table = record.table(&CLAIM);
        assert!(
            table.contains("| sid | 1 | 0.500, failed 1 times |") && table.contains("sid with seed 2: loss"),
            "{table}"
        );
    }
}
