//! What the bias laboratory measured, and the tables that follow from it; and what other experiments on mixtures share.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use onestep_core::files::atomic_write;
use onestep_core::lab::{Distance, Gradient};
use serde::{Deserialize, Serialize};

use crate::compare::mean_and_range;
use crate::exit::bad_input;

/// Noise levels: so many, from the first to the last in equal ratios.
const LEVELS: usize = 8;
const FIRST: f32 = 0.02;
const LAST: f32 = 10.0;

/// The noise levels of the experiments on mixtures.
pub fn levels() -> Vec<f32> {
    (0..LEVELS).map(|i| FIRST * (LAST / FIRST).powf(i as f32 / (LEVELS - 1) as f32)).collect()
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub seeds: u32,
    pub dims: Vec<usize>,
    pub distances: Vec<Distance>,
    pub steps: u64,
    pub batch: usize,
    pub width: usize,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub settings: Settings,
    pub device: String,
    /// Noise levels.
    pub levels: Vec<f32>,
    pub cells: Vec<Cell>,
}

/// One student. Numbers by level are in the order of [`Record::levels`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub dim: usize,
    pub distance: Distance,
    /// KL divergence of noised samples from noised data, in nats, by level.
    pub divergence: Vec<f64>,
    pub secs: f64,
    pub ways: Vec<Way>,
    /// Squared error of a denoiser by level, in parts of the exact difference's square; mean over seeds.
    pub teacher: Vec<f64>,
    pub short_teacher: Vec<f64>,
    /// That of the teacher where it has learned: at noised data. Records from before it was measured have none.
    #[serde(default)]
    pub teacher_on_data: Vec<f64>,
    pub fake: Vec<f64>,
}

/// One way to learn the difference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Way {
    pub name: String,
    /// Of all its networks.
    pub parameters: usize,
    /// Of all its trainings.
    pub gflop: f64,
    /// Of each network.
    pub steps: Vec<u64>,
    pub runs: Vec<Run>,
    /// What the errors of all seeds have in common, by level, in parts of the exact difference's square; empty with one
    /// seed.
    pub field_bias: Vec<f64>,
    /// The same of the generator's gradient.
    pub gradient_bias: Option<f64>,
}

/// What came of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub seed: u32,
    /// Relative squared error of the difference, by level.
    pub field: Vec<f64>,
    /// The generator's gradient by level.
    pub levels: Vec<Gradient>,
    /// And with all levels together.
    pub gradient: Gradient,
    /// The same with each level divided by the root mean square of its field.
    pub normalized: Gradient,
}

impl Settings {
    /// In words, as flags.
    pub fn words(&self) -> String {
        let Self { seeds, steps, batch, width, .. } = self;
        let dims: Vec<String> = self.dims.iter().map(ToString::to_string).collect();
        let distances: Vec<&str> = self.distances.iter().map(|distance| distance.name()).collect();
        format!(
            "--seeds {seeds} --dims {} --distances {} --steps {steps} --batch {batch} --width {width}",
            dims.join(","),
            distances.join(",")
        )
    }
}

impl Record {
    /// Nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, levels: levels(), ..Self::default() }
    }

    /// The record in a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| bad_input!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| bad_input!("{}: is damaged: {error}", path.display()))
    }

    /// Writes the record to a file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string(self)?;
        Ok(atomic_write(path, |file| writeln!(file, "{json}"))?)
    }

    /// The student at this distance, if it was done.
    pub fn cell(&self, dim: usize, distance: Distance) -> Option<&Cell> {
        self.cells.iter().find(|cell| (cell.dim, cell.distance) == (dim, distance))
    }

    /// The command that makes this again.
    pub fn command(&self) -> String {
        format!("onestep lab bias {}", self.settings.words())
    }

    /// Both tables, in Markdown.
    pub fn report(&self) -> String {
        let minutes = self.cells.iter().map(|cell| cell.secs).sum::<f64>() / 60.0;
        format!(
            "    {}\n\nOn {}; {minutes:.0} minutes. Numbers are means over seeds (least to most).\n\n\
             The generator's gradient, all noise levels together:\n\n{}\n\
             The difference of the scores by noise level sigma, relative squared error, mean over seeds:\n\n{}",
            self.command(),
            self.device,
            self.gradients(),
            self.fields()
        )
    }

    /// A row per student and way: the generator's gradient.
    fn gradients(&self) -> String {
        let head = [
            "dimensions",
            "student",
            "way",
            "parameters",
            "GFLOP",
            "cosine",
            "length",
            "error",
            "of it bias",
            "cosine, normalized",
        ];
        let mut text = head_of(&head.map(str::to_owned));
        for (cell, way) in self.cells.iter().flat_map(|cell| cell.ways.iter().map(move |way| (cell, way))) {
            let of = |value: fn(&Run) -> f64| mean_and_range(&way.runs.iter().map(value).collect::<Vec<_>>());
            text += &row(&[
                cell.dim.to_string(),
                cell.distance.to_string(),
                way.name.clone(),
                way.parameters.to_string(),
                format!("{:.0}", way.gflop),
                of(|run| run.gradient.cosine),
                of(|run| run.gradient.norm),
                of(|run| run.gradient.error),
                way.gradient_bias.map_or_else(String::new, number),
                of(|run| run.normalized.cosine),
            ]);
        }
        text
    }

    /// A row per student and way: the difference of the scores by level, and whose fault it is.
    fn fields(&self) -> String {
        let level = |sigma: &f32| format!("{sigma:.2}");
        let head = ["dimensions", "student", "way"].map(str::to_owned).into_iter().chain(self.levels.iter().map(level));
        let mut text = head_of(&head.collect::<Vec<_>>());
        for cell in &self.cells {
            let mut line = |name: &str, values: &[f64]| {
                let first = [cell.dim.to_string(), cell.distance.to_string(), name.to_owned()];
                text += &row(&first.into_iter().chain(values.iter().map(|x| number(*x))).collect::<Vec<_>>());
            };
            line("*KL of samples from data, nats*", &cell.divergence);
            for way in &cell.ways {
                let mean = |level: usize| {
                    way.runs.iter().map(|run| run.field[level]).sum::<f64>() / way.runs.len().max(1) as f64
                };
                line(&way.name, &(0..self.levels.len()).map(mean).collect::<Vec<_>>());
                if !way.field_bias.is_empty() {
                    line("*of it bias*", &way.field_bias);
                }
            }
            line("*of the teacher alone*", &cell.teacher);
            line("*of the teacher with a tenth of the steps*", &cell.short_teacher);
            if !cell.teacher_on_data.is_empty() {
                line("*of the teacher at data instead of samples*", &cell.teacher_on_data);
            }
            line("*of the fake alone*", &cell.fake);
        }
        text
    }
}

impl Cell {
    /// The same with four digits of each number: what is measured has no more.
    pub fn rounded(mut self) -> Self {
        fn all(values: &mut [f64]) {
            values.iter_mut().for_each(round);
        }
        let gradient = |g: &mut Gradient| [&mut g.cosine, &mut g.norm, &mut g.error].into_iter().for_each(round);
        let parts = [&mut self.teacher, &mut self.short_teacher, &mut self.teacher_on_data, &mut self.fake];
        for values in parts.into_iter().chain([&mut self.divergence]) {
            all(values);
        }
        round(&mut self.secs);
        for way in &mut self.ways {
            round(&mut way.gflop);
            all(&mut way.field_bias);
            way.gradient_bias.iter_mut().for_each(round);
            for run in &mut way.runs {
                all(&mut run.field);
                run.levels.iter_mut().for_each(gradient);
                gradient(&mut run.gradient);
                gradient(&mut run.normalized);
            }
        }
        self
    }
}

/// Four digits.
pub fn round(x: &mut f64) {
    *x = format!("{x:.3e}").parse().unwrap_or(*x);
}

/// A number with as many digits as a table has room for.
pub fn number(x: f64) -> String {
    match x.abs() {
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        size if size >= 0.1 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

pub fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

pub fn head_of(cells: &[String]) -> String {
    let mut text = row(cells);
    let _ = writeln!(text, "|{}", "---|".repeat(cells.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let run = |seed, error| Run {
            seed,
            field: vec![error; LEVELS],
            levels: vec![Gradient::default(); LEVELS],
            gradient: Gradient { cosine: 0.5, norm: 2.0, error },
            normalized: Gradient { cosine: 0.75, ..Gradient::default() },
        };
        let way = Way {
            name: "ratio".to_owned(),
            parameters: 7,
            gflop: 12.3456,
            steps: vec![10],
            runs: vec![run(1, 0.25), run(2, 0.75)],
            field_bias: vec![0.123_456; LEVELS],
            gradient_bias: Some(-0.01),
        };
        let numbers = vec![1234.5; LEVELS];
        let cell = Cell {
            dim: 8,
            distance: Distance::Near,
            divergence: numbers.clone(),
            secs: 60.0,
            ways: vec![way],
            teacher: numbers.clone(),
            short_teacher: numbers.clone(),
            teacher_on_data: numbers.clone(),
            fake: numbers,
        };
        let settings = Settings { seeds: 2, dims: vec![8], distances: vec![Distance::Near], ..Settings::default() };
        Record { cells: vec![cell.rounded()], ..Record::new(settings) }
    }

    #[test]
    fn tables_have_mean_range_and_bias() {
        let report = record().report();
        let gradient = "| 8 | near | ratio | 7 | 12 | 0.500 (0.500 to 0.500) | 2.000 (2.000 to 2.000) | \
                        0.500 (0.250 to 0.750) | -0.010 | 0.750 (0.750 to 0.750) |";
        assert!(report.contains(gradient), "{report}");
        assert!(report.contains("| 8 | near | ratio | 0.50 | 0.50 |") && report.contains("| *of it bias* | 0.12 |"));
        assert!(
            report.contains("--seeds 2 --dims 8 --distances near") && report.contains("| 0.02 | 0.05 |"),
            "{report}"
        );
    }

    #[test]
    fn a_record_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        record().write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record());
        std::fs::write(&path, "{").unwrap();
        let error = Record::read(&path).unwrap_err().to_string();
        assert!(error.contains("results.json: is damaged"), "{error}");
    }

    #[test]
    fn the_first_and_the_last_level_are_those_that_are_trained() {
        let levels = record().levels;
        assert!(levels.len() == LEVELS && levels[0] == FIRST && (levels[LEVELS - 1] - LAST).abs() < 1e-4, "{levels:?}");
    }
}
