//! `onestep eval`: how close samples are to the data, in numbers with honest names.
//!
//! Points are compared with fresh points of the exact density ([`points`]), images with a split of a
//! data set ([`images`]). Several models (one per training seed) give mean and range.

mod images;
mod points;

use std::path::PathBuf;

use onestep_core::data::{Density, Split};
use onestep_core::eval::EvalError;
use onestep_core::eval::report::{Metric, MetricKind};
use onestep_core::exec::Executor;
use onestep_core::model::ModelFile;
use serde::Serialize;

use crate::device::{self, DeviceArgs};
use crate::draw::{draw, open_generator, open_model};
use crate::exit::bad_input;
use crate::output::{note, print, print_json};
use images::ImageReference;
pub use points::PointReference;

/// Arguments of `onestep eval`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// A generator snapshot, or a run's folder for its newest one; several models give mean and range.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    model: Vec<PathBuf>,
    /// The data to compare with [default: those that the model names].
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// Which part of the data: train or test.
    #[arg(long, default_value = "train", value_parser = Split::parse)]
    split: Split,
    /// What to measure, with commas, such as fid-lenet,precision,recall or kl-grid,modes-reached
    /// [default: all that is quick].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    metrics: Vec<MetricKind>,
    /// Samples to draw, from the seeds 0 to N-1 [default: 50000 points or 10000 images].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    num: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    models: Vec<String>,
    reference: &'a str,
    samples: usize,
    device: String,
    metrics: Vec<Metric>,
}

/// What samples are compared with.
enum Reference {
    Points(PointReference),
    Images(Box<ImageReference>),
}

/// Measures and prints.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let models = args.model.iter().map(|path| open_model(path)).collect::<Result<Vec<_>, _>>()?;
    let first = &models[0].meta;
    for model in &models[1..] {
        if model.meta.data_shape != first.data_shape {
            return Err(bad_input!("{}: makes other data than {}; compare like with like", model.name, models[0].name));
        }
    }
    let points = first.data_shape == [2];
    let num = args.num.map_or(if points { 50_000 } else { 10_000 }, |n| n as usize);
    let data = args.data.as_deref().unwrap_or(&first.dataset);
    let density = if points { Some(Density::parse(data).map_err(|_| no_density(data))?) } else { None };
    let kinds = kinds(args, density)?;
    let reference = if let Some(density) = density {
        Reference::Points(PointReference::new(density, num))
    } else if let [height, width, channels] = first.data_shape[..] {
        let shape = [height, width, channels];
        Reference::Images(Box::new(ImageReference::load(data, args.split, shape, num, &kinds, quiet)?))
    } else {
        return Err(bad_input!("{}: there are no metrics for data of shape {:?}", models[0].name, first.data_shape));
    };
    let mut executor = device::open(&args.device, quiet)?;
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for model in &models {
        note(quiet, format_args!("{} (step {}, {})", model.name, model.meta.step, model.meta.dataset));
        let run = measure(&mut executor, model, &reference, &kinds, num)?;
        values.iter_mut().zip(run).for_each(|(all, value)| all.push(value));
    }
    let (description, against, floor) = match &reference {
        Reference::Points(points) => (points.describe(), num, Vec::new()),
        Reference::Images(images) => (images.describe(), images.count(), images.floor(&mut executor, &kinds)?),
    };
    let named = |(kind, values): (&MetricKind, &Vec<f64>)| -> Result<Metric, EvalError> {
        Ok(Metric { against: Some(against), ..Metric::over_runs(*kind, values, num)? })
    };
    let metrics = kinds.iter().zip(&values).map(named).collect::<Result<Vec<_>, _>>()?;
    let metrics = [metrics, floor].concat();
    if args.json {
        let models = models.iter().map(|model| model.name.clone()).collect();
        let device = executor.name();
        return print_json(&Report { models, reference: &description, samples: num, device, metrics });
    }
    print(format_args!("reference: {description}; samples: {num}, seeds 0-{}", num - 1))?;
    metrics.iter().try_for_each(print)
}

/// The metrics that were asked for, or the usual ones.
fn kinds(args: &Args, density: Option<Density>) -> anyhow::Result<Vec<MetricKind>> {
    use MetricKind::{
        Copies, CoverageLenet, DensityLenet, EnergyDistance, FidLenet, HighQuality, KlGrid, KlGridFloor, ModesReached,
        PrecisionLenet, RecallLenet,
    };
    let (usual, possible) = if let Some(density) = density {
        let mut all = vec![KlGrid, KlGridFloor, EnergyDistance];
        if density.modes().is_some() {
            all.extend([ModesReached, HighQuality]);
        }
        (all.clone(), all)
    } else {
        let usual = vec![FidLenet, PrecisionLenet, RecallLenet];
        (usual.clone(), [usual, vec![DensityLenet, CoverageLenet, Copies]].concat())
    };
    if let Some(other) = args.metrics.iter().find(|kind| !possible.contains(kind)) {
        let names: Vec<&str> = possible.iter().map(|kind| kind.stem()).collect();
        let what = density.map_or("images", Density::name);
        return Err(bad_input!("--metrics {}: not for {what}; choose from {}", other.stem(), names.join(", ")));
    }
    Ok(if args.metrics.is_empty() { usual } else { args.metrics.clone() })
}

fn no_density(data: &str) -> anyhow::Error {
    let names: Vec<&str> = Density::ALL.iter().map(|density| density.name()).collect();
    bad_input!("--data {data}: this model makes points; choose one of {}", names.join(", "))
}

fn measure(
    executor: &mut Executor,
    model: &ModelFile,
    reference: &Reference,
    kinds: &[MetricKind],
    num: usize,
) -> anyhow::Result<Vec<f64>> {
    let mut generator = open_generator(executor, model)?;
    let seeds: Vec<u32> = (0..num as u32).collect();
    let samples = draw(&mut generator, executor, &seeds)?;
    match reference {
        Reference::Points(points) => points.measure(&samples, kinds),
        Reference::Images(images) => images.measure(executor, &samples, model.meta.data_range, kinds),
    }
}
