//! `onestep lab bias`: the command around the experiment.

use std::path::PathBuf;

use onestep_core::lab::Distance;

use super::picture::{self, What};
use super::record::{Record, Settings};
use super::replaced;
use super::students::Students;
use super::ways::Bench;
use crate::device::{self, DeviceArgs};
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::{note, print, progress, show_as};
use crate::plot::register_font;

/// Arguments of `onestep lab bias`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    students: Students,
    /// One seed and 500 steps: a first look in a few minutes.
    #[arg(long, conflicts_with_all = ["seeds", "steps", "docs"])]
    quick: bool,
    /// Folder for the results; it is made.
    #[arg(long, value_name = "DIR", default_value = "lab-bias")]
    out: PathBuf,
    /// Go on with the experiment in this folder.
    #[arg(long)]
    resume: bool,
    /// Also put the result into this folder of documents: pictures and numbers into data/, the tables into results.md.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Where the tables stand in a folder of documents, and between which marks.
const PAGE: (&str, &str) = ("results.md", "onestep lab bias");

/// Runs the experiment.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let settings = settings(args)?;
    let mut record = begin(args, settings)?;
    if let Some(docs) = &args.docs {
        replaced(docs, PAGE, "")?;
    }
    let (name, device) = device::choose_once(&args.device, quiet)?;
    record.device = name;
    interrupt::install(false)?;
    interrupt::begin();
    register_font();
    std::fs::create_dir_all(&args.out)
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    let Settings { dims, distances, .. } = record.settings.clone();
    let cells: Vec<(usize, Distance)> =
        dims.iter().flat_map(|dim| distances.iter().map(move |distance| (*dim, *distance))).collect();
    let bar = progress(quiet, cells.len() as u64 * Bench::PARTS, "");
    show_as(&bar, "{wide_bar} {percent} % {msg}, {eta} left");
    for (number, (dim, distance)) in cells.into_iter().enumerate() {
        let from = number as u64 * Bench::PARTS;
        if record.cell(dim, distance).is_none() {
            bar.set_message(format!("{dim} dimensions, {distance}"));
            let bench = Bench { settings: &record.settings, levels: &record.levels, device: &device, bar: &bar };
            let Some(cell) = bench.cell(dim, distance, from)? else {
                bar.finish_and_clear();
                return Err(anyhow::anyhow!("interrupted; the same command with --resume goes on"));
            };
            record.cells.push(cell);
            record.write(&args.out.join("results.json"))?;
        }
        bar.set_position(from + Bench::PARTS);
    }
    bar.finish_and_clear();
    finish(args, &record, quiet)
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let settings = args.students.settings()?;
    Ok(if args.quick { Settings { seeds: 1, steps: 500, ..settings } } else { settings })
}

/// The record so far: none, or that of the folder. Nothing is written.
fn begin(args: &Args, settings: Settings) -> anyhow::Result<Record> {
    if args.resume {
        let record = Record::read(&args.out.join("results.json"))?;
        if record.settings != settings {
            let (has, asked) = (record.settings.words(), settings.words());
            return Err(bad_input!(
                "{}: holds an experiment with {has}; --resume goes on with the same settings, not with {asked}",
                args.out.display()
            ));
        }
        return Ok(record);
    }
    if args.out.exists() {
        return Err(bad_input!(
            "--out {}: is there already; add --resume, or choose another folder",
            args.out.display()
        ));
    }
    Ok(Record::new(settings))
}

/// Says what came out, and puts it where it belongs.
fn finish(args: &Args, record: &Record, quiet: bool) -> anyhow::Result<()> {
    let text = record.report();
    let path = args.out.join("table.md");
    std::fs::write(&path, &text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    for what in What::ALL {
        picture::save(record, what, &args.out, what.name())?;
    }
    if let Some(docs) = &args.docs {
        let data = docs.join("data");
        std::fs::create_dir_all(&data)
            .map_err(|error| bad_input!("--docs {}: cannot be made: {error}", docs.display()))?;
        record.write(&data.join("lab-bias.json"))?;
        for what in What::ALL {
            picture::save(record, what, &data, &format!("lab-bias-{}", what.name()))?;
        }
        let page = replaced(docs, PAGE, &text)?;
        std::fs::write(docs.join(PAGE.0), page)?;
    }
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_tables_in_the_project_are_those_that_its_record_makes() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let record = Record::read(&docs.join("data/lab-bias.json")).unwrap();
        let written = std::fs::read_to_string(docs.join("results.md")).unwrap().replace("\r\n", "\n");
        let made = replaced(&docs, PAGE, &record.report()).unwrap().replace("\r\n", "\n");
        assert!(written == made, "docs/results.md is not what its record says: {}", record.command());
    }
}
