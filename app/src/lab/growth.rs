//! `onestep lab growth`: time and memory against batch, channels, pixels, parameters and threads.
//!
//! Each size is timed by `onestep bench` in a process of its own, whose memory is that of this size alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use onestep_core::data::Picture;
use onestep_core::random::threefry2x32;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Outcome, replaced};
use crate::exit::bad_input;
use crate::output::{json_by_runs, note, print};
use crate::plot::{Drawing, register_font};
use crate::range::in_range;

/// Arguments of `onestep lab growth`.
#[derive(clap::Args)]
pub struct Args {
    /// Timed runs of each kind of step; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = in_range::<u32>(1..=1000))]
    repeat: u32,
    /// Leave out what takes more than a second a step on a processor with two cores.
    #[arg(long, conflicts_with = "docs")]
    quick: bool,
    /// `auto`, `cpu`, `gpu`, `gpu:N`, or a part of a GPU's name; `onestep devices` lists them.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Folder for the results; it is made.
    #[arg(long, value_name = "DIR", default_value = "lab-growth")]
    out: PathBuf,
    /// Also put the result into this folder of documents: picture and numbers into data/, the table into benchmarks.md.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
}

/// Where the table stands in a folder of documents, and between which marks.
const PAGE: (&str, &str) = ("benchmarks.md", "onestep lab growth");

/// One size of what grows in a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Size {
    series: String,
    at: String,
    /// Of the first network.
    parameters: usize,
    /// Milliseconds of a step, in the order of [`STEPS`].
    ms: [f64; 3],
    /// 1e9 operations of a step, in the same order.
    gflop: [f64; 3],
    /// The most memory that the process had, MB; nothing where the system does not tell.
    memory: Option<f64>,
}

/// What is timed.
const STEPS: [&str; 3] = ["warmup step", "ratio step", "generator step"];

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    command: String,
    device: String,
    #[serde(rename = "runs")]
    sizes: Vec<Size>,
}

/// What grows, with the settings of each size.
struct Series {
    name: &'static str,
    /// What stays.
    settings: &'static str,
    /// Channels of made pictures in place of the preset's data.
    pictures: Option<usize>,
    sizes: &'static [(&'static str, &'static str)],
    /// How many of the sizes are small.
    quick: usize,
}

/// Of the preset `mnist`, one thing after the other; then up to the network of EDM's CIFAR-10 models (arXiv 2206.00364).
const SERIES: &[Series] = &[
    Series {
        name: "batch",
        settings: "--preset mnist",
        pictures: None,
        sizes: &[
            ("4", "--batch 4"),
            ("16", "--batch 16"),
            ("64", "--batch 64"),
            ("256", "--batch 256"),
            ("1024", "--batch 1024"),
        ],
        quick: 3,
    },
    Series {
        name: "channels",
        settings: "--preset mnist --batch 16",
        pictures: None,
        sizes: &[
            ("8", "--width 8"),
            ("16", "--width 16"),
            ("32", "--width 32"),
            ("64", "--width 64"),
            ("128", "--width 128"),
        ],
        quick: 4,
    },
    Series {
        name: "pixels along a side",
        settings: "--preset mnist --batch 16",
        pictures: Some(1),
        sizes: SIDES,
        quick: 3,
    },
    Series {
        name: "parameters",
        settings: "--preset cifar10 --batch 4",
        pictures: Some(3),
        sizes: &[
            ("width 32, one block", "--width 32 --multipliers 2,2,2 --blocks 1 --attention 0"),
            ("width 64, two blocks", "--width 64 --multipliers 2,2,2 --blocks 2 --attention 16"),
            ("width 128, four blocks (EDM's)", "--width 128 --multipliers 2,2,2 --blocks 4 --attention 16"),
        ],
        quick: 2,
    },
];

/// Of square pictures.
const SIDES: &[(&str, &str)] = &[("16", ""), ("28", ""), ("32", ""), ("64", "")];

/// Measures, and writes what came out.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if let Some(docs) = &args.docs {
        replaced(docs, PAGE, "")?;
    }
    std::fs::create_dir_all(&args.out)
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    register_font();
    let mut command = format!("onestep lab growth --repeat {} --device {}", args.repeat, args.device);
    if args.quick {
        command += " --quick";
    }
    let mut record = Record { command, device: String::new(), sizes: Vec::new() };
    for series in SERIES {
        let sizes = if args.quick { &series.sizes[..series.quick] } else { series.sizes };
        for (size, flags) in sizes {
            let data = series.pictures.map(|channels| {
                let side = if flags.is_empty() { size.parse().expect("a side is a number") } else { 32 };
                pictures(&args.out, side, channels)
            });
            let mut bench = bench(args)?;
            bench.args(series.settings.split(' ')).args(flags.split_whitespace());
            if let Some(folder) = data {
                bench.arg("--data").arg(folder?);
            }
            record.add(series.name, size, &mut bench, quiet)?;
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if args.device == "cpu" {
        for count in (0..).map(|power| 1 << power).take_while(|count| *count <= threads) {
            let mut bench = bench(args)?;
            bench.args(["--preset", "mnist"]).env("RAYON_NUM_THREADS", count.to_string());
            record.add("threads", &count.to_string(), &mut bench, quiet)?;
        }
    }
    finish(args, &record, quiet)
}

/// `onestep bench`, less what is timed.
fn bench(args: &Args) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program does not find itself")?);
    command.args(["bench", "--json", "--quiet", "--device", &args.device, "--repeat", &args.repeat.to_string()]);
    Ok(command)
}

/// A folder with some pictures of noise, which take as long as others.
fn pictures(out: &Path, side: usize, channels: usize) -> anyhow::Result<PathBuf> {
    let folder = out.join(format!("pictures-{side}-{channels}"));
    std::fs::create_dir_all(&folder)?;
    for number in 0..8_u32 {
        let pixel = |i: usize| threefry2x32([number, 0], [i as u32, 0])[0] as u8;
        let pixels = (0..side * side * channels).map(pixel).collect();
        Picture { pixels, width: side, height: side, channels }.save_png(folder.join(format!("{number}.png")))?;
    }
    Ok(folder)
}

impl Record {
    /// Times one size.
    fn add(&mut self, series: &str, size: &str, bench: &mut Command, quiet: bool) -> anyhow::Result<()> {
        let output = bench.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            anyhow::bail!("{series} {size}: {}", said.trim().trim_start_matches("error: "));
        }
        let report: Bench = serde_json::from_slice(&output.stdout)?;
        let step = |name: &str| report.steps.iter().find(|step| step.name == name).context("a step is missing");
        let mut size = Size {
            series: series.to_owned(),
            at: size.to_owned(),
            parameters: report.parameters.get("generator").copied().unwrap_or_default(),
            ms: [0.0; 3],
            gflop: [0.0; 3],
            memory: report.memory.map(|bytes| (bytes as f64 * 1e-6).round()),
        };
        for (place, name) in STEPS.into_iter().enumerate() {
            let step = step(name)?;
            size.ms[place] = (step.ms * 100.0).round() / 100.0;
            size.gflop[place] = (step.gflop * 1e4).round() / 1e4;
        }
        note(quiet, format_args!("{series} {}: {:?} ms, {:?} MB", size.at, size.ms, size.memory));
        self.device = report.device;
        self.sizes.push(size);
        Ok(())
    }

    fn of<'a>(&'a self, series: &'a str) -> impl Iterator<Item = &'a Size> {
        self.sizes.iter().filter(move |size| size.series == series)
    }

    /// The names of the series, in their order.
    fn series(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.sizes.iter().map(|size| size.series.as_str()).collect();
        names.dedup();
        names
    }

    fn table(&self) -> String {
        let mut text = format!("    {}\n\nOn {}.\n\n", self.command, self.device);
        text += "| what grows | size | parameters | GFLOP of a turn | warm-up, ms | ratio, ms | generator, ms | GFLOP/s \
                 | memory, MB |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n";
        for Size { series, at, parameters, ms, gflop, memory } in &self.sizes {
            let memory = memory.map_or_else(String::new, |memory| format!("{memory:.0}"));
            let rate = turn(gflop) / turn(ms) * 1e3;
            let _ = writeln!(
                text,
                "| {series} | {at} | {parameters} | {:.3} | {:.1} | {:.1} | {:.1} | {rate:.0} | {memory} |",
                turn(gflop),
                ms[0],
                ms[1],
                ms[2]
            );
        }
        text
    }
}

/// Two steps of the ratio network and one of the generator.
fn turn([_, ratio, generator]: &[f64; 3]) -> f64 {
    2.0 * ratio + generator
}

/// What is read of `onestep bench --json`.
#[derive(Deserialize)]
struct Bench {
    device: String,
    parameters: BTreeMap<String, usize>,
    memory: Option<u64>,
    steps: Vec<BenchStep>,
}

#[derive(Deserialize)]
struct BenchStep {
    name: String,
    ms: f64,
    gflop: f64,
}

fn finish(args: &Args, record: &Record, quiet: bool) -> anyhow::Result<()> {
    let text = record.table();
    let head = Record { command: record.command.clone(), device: record.device.clone(), sizes: Vec::new() };
    let json = json_by_runs(&head, &record.sizes)?;
    let outcome = Outcome { name: "growth", json: &json, table: &text, picture: record, size: (900, 380), page: PAGE };
    outcome.write(&args.out, args.docs.as_deref())?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(text)
}

const COLORS: [RGBColor; 4] =
    [RGBColor(25, 60, 150), RGBColor(190, 30, 45), RGBColor(30, 140, 90), RGBColor(230, 140, 40)];

impl Drawing for Record {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let halves = area.split_evenly((1, 2));
        self.panel(&halves[0], "time of a turn", "ms", |size| Some(turn(&size.ms)))?;
        self.panel(&halves[1], "memory of the process", "MB", |size| size.memory)?;
        area.present()
    }
}

impl Record {
    fn panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        title: &str,
        unit: &str,
        of: impl Fn(&Size) -> Option<f64>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        // Threads do the same work.
        let names: Vec<&str> = self.series().into_iter().filter(|name| *name != "threads").collect();
        let points = |name| -> Vec<(f64, f64)> {
            self.of(name).filter_map(|size| Some((turn(&size.gflop), of(size)?))).collect()
        };
        let all: Vec<(f64, f64)> = names.iter().flat_map(|name| points(name)).collect();
        let Some((x, y)) = range(all.iter().map(|p| p.0)).zip(range(all.iter().map(|p| p.1))) else { return Ok(()) };
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(34)
            .y_label_area_size(54)
            .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("GFLOP of a turn")
            .y_desc(unit)
            .x_label_formatter(&|x| format!("{x}"))
            .y_label_formatter(&|y| format!("{y}"))
            .light_line_style(WHITE)
            .draw()?;
        for (name, color) in names.iter().zip(COLORS) {
            let points = points(name);
            // What grows as the work does, from the largest of the series on down.
            if let Some((gflop, value)) = points.last().copied() {
                let down = points.iter().map(|(x, _)| (*x, value * x / gflop)).filter(|(_, v)| *v >= y.0);
                chart.draw_series(LineSeries::new(down, color.mix(0.3)))?;
            }
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 14))
            .draw()
    }
}

/// A little more than the least and the most.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), x| (least.min(x), most.max(x)));
    (least < most).then_some((least / 1.5, most * 1.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_project_is_that_of_its_record() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let record: Record = serde_json::from_slice(&std::fs::read(docs.join("data/growth.json")).unwrap()).unwrap();
        let written = std::fs::read_to_string(docs.join(PAGE.0)).unwrap().replace("\r\n", "\n");
        let made = replaced(&docs, PAGE, &record.table()).unwrap().replace("\r\n", "\n");
        assert!(written == made, "docs/benchmarks.md is not what its record says: {}", record.command);
    }
}
