//! What a comparison leaves behind: a table, all numbers, curves, and a picture of samples.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use onestep_core::data::Picture;
use onestep_core::files::atomic_write;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::curves::Curves;
use super::measure::Point;
use crate::output::json_by_runs;
use crate::plot::save;

/// What is known of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub method: String,
    pub seed: u32,
    /// Why there is no result, if there is none.
    pub problem: Option<String>,
    /// Quality on the way; the last point is the result.
    pub points: Vec<Point>,
    /// Of the network, per sample.
    pub evaluations: usize,
    /// Of networks besides that which samples are drawn from.
    pub auxiliary_parameters: usize,
    /// Of stores and scratch on the device.
    pub device_bytes: u64,
    /// Turns by phase.
    pub turns: Vec<(String, u64)>,
    /// Operations in all.
    pub tflop: f64,
    /// Time in all, measuring left out.
    pub secs: f64,
}

impl Outcome {
    /// What came of the run, on one line.
    pub fn line(&self, metrics: &[String]) -> String {
        let Self { method, seed, secs, .. } = self;
        let came = match (&self.problem, self.points.last()) {
            (Some(problem), _) => problem.clone(),
            (None, Some(end)) => metrics
                .iter()
                .zip(&end.values)
                .map(|(name, value)| format!("{name} {value:.3}"))
                .collect::<Vec<_>>()
                .join(", "),
            (None, None) => "nothing was measured".to_owned(),
        };
        format!("{method} with seed {seed}: {came}, {secs:.0} s")
    }
}

/// All runs of a comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The command's words, so that it can be run again.
    pub command: String,
    pub device: String,
    pub data: String,
    pub budget: String,
    /// What was set besides, as flags.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Names of the values of a [`Point`].
    pub metrics: Vec<String>,
    /// `operations` or `seconds`.
    pub unit: String,
    pub runs: Vec<Outcome>,
}

impl Results {
    /// Methods in the order in which they were named.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !methods.contains(&run.method.as_str()) {
                methods.push(&run.method);
            }
        }
        methods
    }

    fn finished(&self, method: &str) -> Vec<&Outcome> {
        self.runs.iter().filter(|run| run.method == method && run.problem.is_none() && !run.points.is_empty()).collect()
    }

    /// Writes `results.json`, `table.md` and the curves.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let json = json_by_runs(&Self { runs: Vec::new(), ..self.clone() }, &self.runs)?;
        atomic_write(folder.join("results.json"), |file| writeln!(file, "{json}"))?;
        let table = self.table();
        atomic_write(folder.join("table.md"), |file| write!(file, "{table}"))?;
        self.curves(folder)
    }

    /// A row per method: mean and range over seeds.
    pub fn table(&self) -> String {
        let mut text =
            format!("{} at {} each, on {}. Mean (least to most) over seeds.\n\n", self.data, self.budget, self.device);
        let mut head = vec!["method".to_owned(), "seeds".to_owned()];
        head.extend(self.metrics.iter().cloned());
        head.extend(
            ["evaluations", "auxiliary parameters", "device MB", "TFLOP", "seconds", "turns", "note"]
                .map(str::to_owned),
        );
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text += &row(&head);
        text += &row(&head.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
        for method in self.methods() {
            let runs = self.finished(method);
            let problems: Vec<String> = self
                .runs
                .iter()
                .filter(|run| run.method == method)
                .filter_map(|run| run.problem.as_ref().map(|problem| format!("seed {}: {problem}", run.seed)))
                .collect();
            let mut cells = vec![method.to_owned(), runs.len().to_string()];
            for metric in 0..self.metrics.len() {
                let values: Vec<f64> =
                    runs.iter().filter_map(|run| run.points.last()?.values.get(metric).copied()).collect();
                cells.push(mean_and_range(&values));
            }
            let mean =
                |value: fn(&Outcome) -> f64| runs.iter().map(|run| value(run)).sum::<f64>() / runs.len().max(1) as f64;
            match runs.first() {
                None => cells.extend((0..6).map(|_| String::new())),
                Some(first) => cells.extend([
                    first.evaluations.to_string(),
                    first.auxiliary_parameters.to_string(),
                    format!("{:.1}", mean(|run| run.device_bytes as f64) * 1e-6),
                    format!("{:.3}", mean(|run| run.tflop)),
                    format!("{:.0}", mean(|run| run.secs)),
                    first.turns.iter().map(|(phase, turns)| format!("{phase} {turns}")).collect::<Vec<_>>().join(", "),
                ]),
            }
            cells.push(problems.join("; "));
            text += &row(&cells);
        }
        text += "\nA warm-up that several methods begin with was trained once per seed and is charged to each.\n";
        let _ = writeln!(text, "Made by `{}`.", self.command);
        text
    }

    /// Quality against what was spent, a line per method with the range of its seeds.
    fn curves(&self, folder: &Path) -> anyhow::Result<()> {
        let lines: Vec<(&str, Vec<[f64; 4]>)> =
            self.methods().into_iter().map(|method| (method, self.band(method))).collect();
        if lines.iter().all(|(_, band)| band.is_empty()) {
            return Ok(());
        }
        let size = Curves::size(lines.len());
        save(&Curves { results: self, lines }, folder, "curves", size)
    }

    /// Spent, mean, least and most of the first value, at each point that all finished seeds have.
    fn band(&self, method: &str) -> Vec<[f64; 4]> {
        let runs = self.finished(method);
        let count = runs.iter().map(|run| run.points.len()).min().unwrap_or(0);
        let at = |i: usize| {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.points[i].values.first().copied()).collect();
            let spent = runs.iter().map(|run| run.points[i].spent).sum::<f64>() / runs.len() as f64;
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            [spent, mean, least, most]
        };
        (0..count).map(at).filter(|point| point.iter().all(|x| x.is_finite() && *x > 0.0)).collect()
    }
}

/// Mean, and least and most of several.
pub fn mean_and_range(values: &[f64]) -> String {
    spread(values, |x| if x.abs() >= 100.0 { format!("{x:.1}") } else { format!("{x:.3}") })
}

/// The same with numbers written by `digits`.
pub fn spread(values: &[f64], digits: fn(f64) -> String) -> String {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    match values {
        [] => String::new(),
        [only] => digits(*only),
        _ => {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{} ({} to {})", digits(mean), digits(least), digits(most))
        }
    }
}

/// One picture per method, side by side in rows, each with its name over it.
pub fn samples(pictures: &[(String, Picture)], path: &Path) -> anyhow::Result<()> {
    /// Most pictures in a row, and room for a name.
    const COLUMNS: usize = 4;
    const TITLE: usize = 26;
    let side = pictures.iter().map(|(_, picture)| picture.width.max(picture.height)).max().unwrap_or(0);
    let columns = pictures.len().min(COLUMNS);
    let (width, height) = (columns * (side + 8), pictures.len().div_ceil(columns.max(1)) * (side + TITLE + 4));
    if width * height == 0 {
        return Ok(());
    }
    let mut pixels = vec![255; width * height * 3];
    let corner = |number: usize| (number % columns * (side + 8), number / columns * (side + TITLE + 4) + TITLE);
    for (number, (_, picture)) in pictures.iter().enumerate() {
        let (left, top) = corner(number);
        for y in 0..picture.height {
            for x in 0..picture.width {
                let to = ((top + y) * width + left + x) * 3;
                let from = (y * picture.width + x) * picture.channels;
                for channel in 0..3 {
                    pixels[to + channel] = picture.pixels[from + channel.min(picture.channels - 1)];
                }
            }
        }
    }
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width as u32, height as u32)).into_drawing_area();
        for (number, (method, _)) in pictures.iter().enumerate() {
            let (left, top) = corner(number);
            let place = (left as i32 + 2, (top - TITLE) as i32 + 4);
            area.draw(&Text::new(method.clone(), place, ("sans-serif", 18)))
                .map_err(|error| anyhow::anyhow!("drawing {}: {error}", path.display()))?;
        }
        area.present().map_err(|error| anyhow::anyhow!("drawing {}: {error}", path.display()))?;
    }
    Picture { pixels, width, height, channels: 3 }.save_png(path).with_context(|| format!("saving {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_mean_range_and_reason() {
        let run = |method: &str, seed, value: Option<f64>| Outcome {
            method: method.to_owned(),
            seed,
            problem: value.is_none().then(|| "diverged".to_owned()),
            points: value.iter().map(|v| Point { step: 1, spent: 1e12, values: vec![*v] }).collect(),
            evaluations: 1,
            auxiliary_parameters: 7,
            device_bytes: 2_000_000,
            turns: vec![("training".to_owned(), 3)],
            tflop: 1.0,
            secs: 4.0,
        };
        let runs = vec![run("a", 0, Some(0.5)), run("a", 1, Some(0.7)), run("b", 0, None)];
        let results = Results { metrics: vec!["kl".into()], unit: "operations".into(), runs, ..Results::default() };
        let table = results.table();
        assert!(
            table.contains("| a | 2 | 0.600 (0.500 to 0.700) | 1 | 7 | 2.0 | 1.000 | 4 | training 3 |  |"),
            "{table}"
        );
        assert!(table.contains("| b | 0 |") && table.contains("seed 0: diverged"), "{table}");
        crate::plot::register_font();
        let folder = tempfile::tempdir().unwrap();
        results.save(folder.path()).unwrap();
        let names = ["results.json", "table.md", "curves.svg", "curves.png"];
        assert!(names.iter().all(|name| folder.path().join(name).metadata().is_ok_and(|file| file.len() > 100)));
    }
}
