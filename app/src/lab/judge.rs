//! `onestep lab judge`: what a choice among candidates is worth.
//!
//! The ratio network that was trained beside a generator says which of several samples is more like the data. Here each
//! sample is chosen from ever more candidates, the best of them or one at random in proportion to the ratio, and what is
//! kept is measured. The first candidates of a sample are the same for all numbers of them, so that rows differ by the
//! choice alone.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use onestep_core::data::Split;
use onestep_core::eval::report::MetricKind;
use onestep_core::sampling::{Choice, SIGMAS, Verifier};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Outcome, replaced};
use crate::device::{self, DeviceArgs};
use crate::draw::{draw, open_generator, open_model};
use crate::eval::Ruler;
use crate::exit::bad_input;
use crate::output::{json_by_runs, note, print, progress};
use crate::plot::{Drawing, register_font};
use crate::range::in_range;
use crate::verifier::open_ratio;

/// Arguments of `onestep lab judge`.
#[derive(clap::Args)]
pub struct Args {
    /// A generator snapshot, or a run's folder for its newest one.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The ratio network that judges [default: ratio-* beside the generator].
    #[arg(long, value_name = "FILE")]
    ratio: Option<PathBuf>,
    /// The data to compare with [default: those that the model or its run names].
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// What to measure, with commas [default: as of onestep eval].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    metrics: Vec<MetricKind>,
    /// Samples that are kept [default: 50000 points or 10000 images].
    #[arg(long, value_name = "N", value_parser = in_range::<u32>(2..=1_000_000))]
    num: Option<u32>,
    /// Of how many candidates each is chosen.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,2,4,8,16,32",
        value_parser = in_range::<u32>(1..=1000))]
    candidates: Vec<u32>,
    /// At which noise levels the ratio network judges; a score is their mean [default: as of onestep sample].
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = in_range::<f32>(1e-4..=1e3))]
    sigmas: Vec<f32>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Folder for the results; it is made.
    #[arg(long, value_name = "DIR", default_value = "lab-judge")]
    out: PathBuf,
    /// Also put the result into this folder of documents: picture and numbers into data/, the table into results.md.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
}

/// Where the table stands in a folder of documents, and between which marks.
const PAGE: (&str, &str) = ("results.md", "onestep lab judge");

/// Samples that were kept in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    way: Choice,
    candidates: u32,
    /// In the order of [`Record::metrics`].
    values: Vec<f64>,
}

/// The ways of choosing, with what they are called in a table.
const WAYS: [(Choice, &str); 2] = [(Choice::Best, "best"), (Choice::Resample, "resampled")];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    command: String,
    device: String,
    /// What samples were compared with.
    reference: String,
    samples: usize,
    /// To draw and judge one candidate, on average.
    seconds: f64,
    /// Mean of the exponential of the scores of all candidates: about 1 for the exact log density ratio at one noise level,
    /// at most that for the mean over several.
    #[serde(default)]
    mean_weight: f64,
    /// Kish's effective sample size of these weights in parts of their number: 1 where all candidates weigh the same.
    #[serde(default)]
    effective_share: f64,
    metrics: Vec<String>,
    #[serde(rename = "runs")]
    rows: Vec<Row>,
}

/// Measures, and writes what came out.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if let Some(docs) = &args.docs {
        replaced(docs, PAGE, "")?;
    }
    let model = open_model(&args.model)?;
    let ratio = open_ratio(args.ratio.as_deref(), &model)?;
    let mut ruler = Ruler::new(&model, args.data.as_deref(), Split::Train, args.num, &args.metrics, quiet)?;
    // The floor is that of the data, however samples are chosen.
    ruler.kinds.retain(|kind| *kind != MetricKind::KlGridFloor);
    std::fs::create_dir_all(&args.out)
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    register_font();
    let mut executor = device::open(&args.device, quiet)?;
    let mut generator = open_generator(&mut executor, &model)?;
    let mut counts = args.candidates.clone();
    counts.sort_unstable();
    counts.dedup();
    let most = counts.last().copied().unwrap_or(1);

    let samples: Vec<u32> = (0..ruler.num as u32).collect();
    let classes = ruler.classes(&model);
    let batch = generator.rows();
    let sigmas = if args.sigmas.is_empty() { &SIGMAS[..] } else { &args.sigmas };
    let verifier = Verifier::at(&mut executor, &ratio, batch, sigmas)?;
    let total = u64::from(most) * samples.len() as u64;
    let bar = progress(quiet, total, "candidates");
    let start = Instant::now();
    // By way and count, the seed of the candidate that each sample is.
    let mut kept = vec![vec![Vec::with_capacity(samples.len()); counts.len()]; WAYS.len()];
    let mut weights = Vec::with_capacity(total as usize);
    let mut leaders = [(f32::NEG_INFINITY, 0); WAYS.len()];
    for first in (0..total).step_by(batch) {
        let candidates: Vec<u64> = (first..total.min(first + batch as u64)).collect();
        let seeds: Vec<u32> = candidates.iter().map(|candidate| *candidate as u32).collect();
        let sample = |candidate: &u64| (candidate / u64::from(most)) as usize;
        let classes: Vec<u32> = candidates.iter().filter_map(|of| classes.get(sample(of)).copied()).collect();
        let drawn = draw(&mut generator, &mut executor, &seeds, &classes)?;
        let scores = pollster::block_on(verifier.scores_of(&mut executor, &drawn, &classes))?;
        weights.extend(scores.iter().map(|score| f64::from(*score).exp()));
        for (seed, score) in seeds.iter().zip(scores) {
            let number = seed % most;
            for ((leader, (way, _)), kept) in leaders.iter_mut().zip(WAYS).zip(&mut kept) {
                let rank = way.rank(score, *seed);
                if number == 0 || rank > leader.0 {
                    *leader = (rank, *seed);
                }
                if let Some(place) = counts.iter().position(|count| *count == number + 1) {
                    kept[place].push(leader.1);
                }
            }
        }
        bar.inc(seeds.len() as u64);
    }
    bar.finish_and_clear();

    let mut record = Record {
        command: command(args, &counts),
        device: executor.name(),
        reference: ruler.describe(),
        samples: ruler.num,
        seconds: start.elapsed().as_secs_f64() / total as f64,
        mean_weight: mean(&weights),
        effective_share: effective_share(&weights),
        metrics: ruler.kinds.iter().map(|kind| kind.stem().to_owned()).collect(),
        rows: Vec::new(),
    };
    for ((way, name), kept) in WAYS.into_iter().zip(&kept) {
        for (count, seeds) in counts.iter().zip(kept) {
            // One of one is the same in either way.
            if *count == 1 && way != Choice::Best {
                continue;
            }
            let drawn = draw(&mut generator, &mut executor, seeds, &classes)?;
            let values = ruler.measure(&mut executor, &model, &drawn)?;
            note(quiet, format_args!("{name} of {count}: {} {:.4}", record.metrics[0], values[0]));
            record.rows.push(Row { way, candidates: *count, values });
        }
    }
    let text = record.table();
    let json = json_by_runs(&Record { rows: Vec::new(), ..record.clone() }, &record.rows)?;
    let outcome =
        Outcome { name: "lab-judge", json: &json, table: &text, picture: &record, size: (1000, 340), page: PAGE };
    outcome.write(&args.out, args.docs.as_deref())?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(text)
}

/// What makes this again.
fn command(args: &Args, counts: &[u32]) -> String {
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let mut command = format!("onestep lab judge --model {} --candidates {}", args.model.display(), counts.join(","));
    if let Some(data) = &args.data {
        let _ = write!(command, " --data {data}");
    }
    if let Some(num) = args.num {
        let _ = write!(command, " --num {num}");
    }
    if !args.sigmas.is_empty() {
        let sigmas: Vec<String> = args.sigmas.iter().map(ToString::to_string).collect();
        let _ = write!(command, " --sigmas {}", sigmas.join(","));
    }
    if !args.metrics.is_empty() {
        let stems: Vec<&str> = args.metrics.iter().map(|kind| kind.stem()).collect();
        let _ = write!(command, " --metrics {}", stems.join(","));
    }
    command
}

impl Record {
    fn table(&self) -> String {
        let mut text = format!(
            "    {}\n\nOn {}. {} samples, against {}.\n\n| kept | {} | ms per kept sample |\n|---|{}---:|\n",
            self.command,
            self.device,
            self.samples,
            self.reference,
            self.metrics.join(" | "),
            "---:|".repeat(self.metrics.len())
        );
        for Row { way, candidates, values } in &self.rows {
            let kept = match (way, candidates) {
                (_, 1) => "as they come".to_owned(),
                (Choice::Best, count) => format!("best of {count}"),
                (Choice::Resample, count) => format!("resampled of {count}"),
            };
            let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
            let ms = self.seconds * 1e3 * f64::from(*candidates);
            let _ = writeln!(text, "| {kept} | {} | {ms:.1} |", values.join(" | "));
        }
        if self.mean_weight > 0.0 {
            let _ = writeln!(
                text,
                "\nThe exponentials of the candidates' scores have a mean of {}, and weigh like {} % of as many equal ones.",
                number(self.mean_weight),
                number(self.effective_share * 100.0)
            );
        }
        text
    }

    /// Candidates and value of a metric, in one way; one of one belongs to both.
    fn line(&self, way: Choice, metric: usize) -> Vec<(f64, f64)> {
        let of_way = self.rows.iter().filter(|row| row.candidates == 1 || row.way == way);
        of_way.map(|row| (f64::from(row.candidates), row.values[metric])).collect()
    }
}

fn mean(weights: &[f64]) -> f64 {
    weights.iter().sum::<f64>() / weights.len() as f64
}

/// `(sum w)^2 / (n sum w^2)`.
fn effective_share(weights: &[f64]) -> f64 {
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    mean(weights).powi(2) * weights.len() as f64 / squares
}

fn number(value: f64) -> String {
    if value.abs() >= 2.0 { format!("{value:.2}") } else { format!("{value:.4}") }
}

const COLORS: [RGBColor; 2] = [RGBColor(190, 30, 45), RGBColor(25, 60, 150)];

impl Drawing for Record {
    /// A panel for each of the first three metrics.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let shown = self.metrics.len().min(3);
        for (metric, panel) in area.split_evenly((1, shown)).iter().enumerate() {
            let values = || self.rows.iter().map(|row| row.values[metric]);
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            let room = ((high - low) * 0.1).max(high.abs() * 0.01);
            let most = self.rows.iter().map(|row| row.candidates).max().unwrap_or(1);
            let mut chart = ChartBuilder::on(panel)
                .caption(&self.metrics[metric], ("sans-serif", 16))
                .margin(10)
                .x_label_area_size(34)
                .y_label_area_size(54)
                .build_cartesian_2d((1.0..f64::from(most) * 1.1).log_scale().base(2.0), low - room..high + room)?;
            chart
                .configure_mesh()
                .x_desc("candidates")
                .x_label_formatter(&|x| format!("{x:.0}"))
                .light_line_style(WHITE)
                .draw()?;
            for ((way, name), color) in WAYS.into_iter().zip(COLORS) {
                chart
                    .draw_series(LineSeries::new(self.line(way, metric), color.stroke_width(2)).point_size(3))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            }
            if metric == 0 {
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::UpperLeft)
                    .background_style(WHITE.mix(0.8))
                    .label_font(("sans-serif", 14))
                    .draw()?;
            }
        }
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_in_the_project_is_that_of_its_record() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let record: Record = serde_json::from_slice(&std::fs::read(docs.join("data/lab-judge.json")).unwrap()).unwrap();
        let written = std::fs::read_to_string(docs.join(PAGE.0)).unwrap().replace("\r\n", "\n");
        let made = replaced(&docs, PAGE, &record.table()).unwrap().replace("\r\n", "\n");
        assert!(written == made, "docs/results.md is not what its record says: {}", record.command);
    }

    #[test]
    fn effective_shares_are_those_of_equal_weights_and_of_one_alone() {
        assert_eq!(effective_share(&[0.25; 8]), 1.0);
        assert_eq!(effective_share(&[0.0, 0.0, 5.0, 0.0]), 0.25);
    }

    #[test]
    fn one_of_one_belongs_to_both_lines() {
        let row = |way, candidates, value| Row { way, candidates, values: vec![value] };
        let rows = vec![row(Choice::Best, 1, 5.0), row(Choice::Best, 4, 3.0), row(Choice::Resample, 4, 4.0)];
        let record = Record { metrics: vec!["kl_grid".to_owned()], rows, seconds: 0.001, ..Record::default() };
        assert_eq!(record.line(Choice::Best, 0), [(1.0, 5.0), (4.0, 3.0)]);
        assert_eq!(record.line(Choice::Resample, 0), [(1.0, 5.0), (4.0, 4.0)]);
        assert!(
            record.table().ends_with(
                "| as they come | 5.00 | 1.0 |\n| best of 4 | 3.00 | 4.0 |\n| resampled of 4 | 4.00 | 4.0 |\n"
            )
        );
    }
}
