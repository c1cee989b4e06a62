//! `onestep lab divergences`: how noisy the gradient of each divergence is, and how well a ratio network gives it.
//!
//! Data and samples are mixtures whose density ratio is known, so each divergence's gradient has an exact form: the
//! difference of the scores, weighted by a function of the ratio. A ratio network is trained beside each student, and
//! gives the same gradient by what it learned.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use onestep_core::lab::{Answer, Distance, Gradient, Kind, Mixture, Probe, Slope, Task};
use onestep_core::train::Divergence;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::record::{Settings, head_of, levels, number, round, row};
use super::students::Students;
use super::ways::Bench;
use super::{Outcome, picture, replaced};
use crate::compare::{mean_and_range, spread};
use crate::device::{self, DeviceArgs};
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::{json_by_runs, note, print, progress};
use crate::plot::{Drawing, register_font};

/// Which mixture, and which points are asked about.
const PROBLEM: u32 = 1;
/// Points at each noise level: enough for batches that need a tenth as many.
const POINTS: usize = 32_768;

/// Arguments of `onestep lab divergences`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    students: Students,
    #[command(flatten)]
    device: DeviceArgs,
    /// Folder for the results; it is made.
    #[arg(long, value_name = "DIR", default_value = "lab-divergences")]
    out: PathBuf,
    /// Also put the result into this folder of documents: picture and numbers into data/, the table into results.md.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
}

/// Where the table stands in a folder of documents, and between which marks.
const PAGE: (&str, &str) = ("results.md", "onestep lab divergences");

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    settings: Settings,
    device: String,
    /// That the answers are of.
    points: usize,
    secs: f64,
    levels: Vec<f32>,
    #[serde(rename = "runs")]
    rows: Vec<Row>,
}

/// A divergence's gradient for one student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    dim: usize,
    distance: Distance,
    divergence: Divergence,
    /// [`Slope::noise`] of the exact gradient, all levels together.
    noise: Option<f64>,
    /// The same of each level alone, in the order of [`Record::levels`].
    by_level: Vec<Option<f64>>,
    /// What ratio networks give instead, by seed.
    learned: Vec<Learned>,
}

/// A ratio network's gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Learned {
    noise: Option<f64>,
    /// Against the exact one.
    gradient: Gradient,
}

/// Measures, and writes what came out.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let start = Instant::now();
    let settings = args.students.settings()?;
    if let Some(docs) = &args.docs {
        replaced(docs, PAGE, "")?;
    }
    std::fs::create_dir_all(&args.out)
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    let (name, device) = device::choose_once(&args.device, quiet)?;
    let mut record = Record { device: name, points: POINTS, levels: levels(), settings, ..Record::default() };
    interrupt::install(false)?;
    interrupt::begin();
    register_font();
    let Settings { dims, distances, seeds, steps, .. } = record.settings.clone();
    let of_cell = u64::from(seeds) * steps;
    let bar = progress(quiet, of_cell * (dims.len() * distances.len()) as u64, "steps");
    let students = dims.iter().flat_map(|dim| distances.iter().map(move |distance| (*dim, *distance)));
    for (number, (dim, distance)) in students.enumerate() {
        let bench = Bench { settings: &record.settings, levels: &record.levels, device: &device, bar: &bar };
        let Some(rows) = rows(&bench, dim, distance, number as u64 * of_cell)? else {
            bar.finish_and_clear();
            return Err(anyhow::anyhow!("interrupted; nothing was written"));
        };
        record.rows.extend(rows);
    }
    bar.finish_and_clear();
    record.secs = start.elapsed().as_secs_f64();
    round(&mut record.secs);
    let text = record.table();
    let json = json_by_runs(&Record { rows: Vec::new(), ..record.clone() }, &record.rows)?;
    let size = (110 + 300 * distances.len() as u32, 60 + 240 * dims.len() as u32);
    let outcome = Outcome { name: "lab-divergences", json: &json, table: &text, picture: &record, size, page: PAGE };
    outcome.write(&args.out, args.docs.as_deref())?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(text)
}

/// All divergences for one student, whose progress begins at `from`; `None` if it was interrupted.
fn rows(bench: &Bench<'_>, dim: usize, distance: Distance, from: u64) -> anyhow::Result<Option<Vec<Row>>> {
    let data = Mixture::data(dim, PROBLEM);
    let student = data.moved(distance, PROBLEM);
    let probe = Probe::new(&data, &student, bench.levels, POINTS, PROBLEM);
    let task = |seed| Task { kind: Kind::Ratio, data: &data, student: &student, config: bench.config(seed) };
    let tasks: Vec<Task<'_>> = (1..=bench.settings.seeds).map(task).collect();
    let done: Vec<AtomicU64> = tasks.iter().map(|_| AtomicU64::new(0)).collect();
    let stop = |number: usize, turn: u64| {
        done[number].store(turn, Ordering::Relaxed);
        bench.bar.set_position(from + done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<u64>());
        interrupt::requested()
    };
    let open = || Ok::<_, anyhow::Error>(device::open_silently(bench.device, true)?.0);
    let Some(trained) = Task::train_all(&tasks.iter().collect::<Vec<_>>(), open, stop)? else { return Ok(None) };
    let answers: Vec<Answer> =
        trained.iter().map(|trained| Ok(probe.ask(open()?, trained)?)).collect::<anyhow::Result<_>>()?;
    let truth = probe.truth();
    let of = |&divergence: &Divergence| {
        let exact = probe.slope(divergence, &truth);
        let level = |(field, logits): (&Vec<f32>, &Vec<f32>)| {
            probe.slope(divergence, &Answer { fields: vec![field.clone()], logits: vec![logits.clone()] }).noise
        };
        let by_level = truth.fields.iter().zip(&truth.logits).map(level).collect();
        let learned = |answer: &Answer| {
            let Slope { mean, noise } = probe.slope(divergence, answer);
            Learned { noise, gradient: Gradient::of(&mean, &exact.mean) }
        };
        let learned = answers.iter().map(learned).collect();
        Row { dim, distance, divergence, noise: exact.noise, by_level, learned }.rounded()
    };
    Ok(Some(Divergence::ALL.iter().map(of).collect()))
}

impl Row {
    fn rounded(mut self) -> Self {
        let noises = self.learned.iter_mut().map(|learned| &mut learned.noise);
        noises.chain([&mut self.noise]).chain(&mut self.by_level).flatten().for_each(round);
        for Gradient { cosine, norm, error } in self.learned.iter_mut().map(|learned| &mut learned.gradient) {
            [cosine, norm, error].into_iter().for_each(round);
        }
        self
    }
}

impl Record {
    fn table(&self) -> String {
        let head = ["dimensions", "student", "divergence", "noise, exact", "noise, learned", "cosine, learned"];
        let mut text = format!(
            "    onestep lab divergences {}\n\nOn {}; {:.0} s. {} samples at each noise level; means over seeds (least to most).\n\n{}",
            self.settings.words(),
            self.device,
            self.secs,
            self.points,
            head_of(&head.map(str::to_owned))
        );
        for of in &self.rows {
            let learned = |value: fn(&Learned) -> Option<f64>| of.learned.iter().filter_map(value).collect::<Vec<_>>();
            text += &row(&[
                of.dim.to_string(),
                of.distance.to_string(),
                of.divergence.to_string(),
                of.noise.map_or_else(String::new, number),
                spread(&learned(|learned| learned.noise), number),
                mean_and_range(&learned(|learned| Some(learned.gradient.cosine))),
            ]);
        }
        text
    }
}

/// Colours of the divergences, in their order.
const COLORS: [RGBColor; 6] = {
    let [red, orange, blue, sky, green, grey] = picture::COLORS;
    [red, orange, green, sky, blue, grey]
};

impl Drawing for Record {
    /// The noise of the exact gradient by level, a panel per student.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        /// Pixels of the strip of names, and room for each.
        const STRIP: i32 = 40;
        const ROOM: i32 = 160;
        area.fill(&WHITE)?;
        let (strip, rest) = area.split_vertically(STRIP);
        for ((divergence, color), x) in Divergence::ALL.iter().zip(COLORS).zip((14..).step_by(ROOM as usize)) {
            strip.draw(&PathElement::new([(x, 22), (x + 20, 22)], color.stroke_width(3)))?;
            strip.draw(&Text::new(divergence.to_string(), (x + 26, 14), ("sans-serif", 15)))?;
        }
        let Settings { dims, distances, .. } = &self.settings;
        let panels = rest.split_evenly((dims.len(), distances.len()));
        let places = dims.iter().flat_map(|dim| distances.iter().map(move |distance| (*dim, *distance)));
        for (panel, place) in panels.iter().zip(places) {
            self.panel(place, panel)?;
        }
        area.present()
    }
}

impl Record {
    fn panel<B: DrawingBackend>(
        &self,
        (dim, distance): (usize, Distance),
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        /// Noise that is drawn.
        const RANGE: (f64, f64) = (10.0, 1e5);
        let (first, last) = (f64::from(self.levels[0]), f64::from(self.levels[self.levels.len() - 1]));
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{dim} dimensions, {distance}"), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(56)
            .build_cartesian_2d((first..last).log_scale(), (RANGE.0..RANGE.1).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("sigma")
            .y_desc("noise")
            .y_label_formatter(&|y| format!("{y}"))
            .light_line_style(WHITE)
            .draw()?;
        for of in self.rows.iter().filter(|of| (of.dim, of.distance) == (dim, distance)) {
            let color = Divergence::ALL.iter().zip(COLORS).find(|(divergence, _)| **divergence == of.divergence);
            let color = color.map_or(BLACK, |(_, color)| color);
            // Noise of which the points can't tell the size is beyond what is drawn.
            let seen = |noise: Option<f64>| noise.unwrap_or(RANGE.1).clamp(RANGE.0, RANGE.1);
            let points = self.levels.iter().zip(&of.by_level).map(|(sigma, noise)| (f64::from(*sigma), seen(*noise)));
            chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_in_the_project_is_that_of_its_record() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let json = std::fs::read(docs.join("data/lab-divergences.json")).unwrap();
        let record: Record = serde_json::from_slice(&json).unwrap();
        assert_eq!(record.rows.len(), 6 * record.settings.dims.len() * record.settings.distances.len());
        let written = std::fs::read_to_string(docs.join(PAGE.0)).unwrap().replace("\r\n", "\n");
        let made = replaced(&docs, PAGE, &record.table()).unwrap().replace("\r\n", "\n");
        assert!(written == made, "docs/results.md is not what its record says");
    }
}
