//! `onestep eval`: how close samples are to the data, in numbers with honest names.
//!
//! Points are compared with fresh points of the exact density or with a person's own ([`points`]), images with a
//! split of a data set ([`images`]). Several models (one per training seed) give mean and range.

mod images;
mod points;

use std::path::{Path, PathBuf};

use anyhow::Context;
use onestep_core::data::{Density, EMBEDDED, Official, Split, load_points};
use onestep_core::eval::EvalError;
use onestep_core::eval::lenet::Lenet;
use onestep_core::eval::manifold::DEFAULT_K;
use onestep_core::eval::report::{Metric, MetricKind};
use onestep_core::exec::Executor;
use onestep_core::model::ModelFile;
use onestep_core::sampling::{Chooser, Verifier};
use serde::Serialize;

use crate::device::{self, DeviceArgs};
use crate::draw::{draw, open_generator, open_model, set_steps};
use crate::exit::bad_input;
use crate::output::{note, print, print_json};
use crate::pictures::to_bytes;
use crate::range::in_range;
use crate::settings::read_config;
use crate::verifier::ChoiceArgs;
pub use images::ImageReference;
use images::OF_PIXELS;
pub use points::PointReference;
use points::USUAL;

/// Arguments of `onestep eval`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// A generator snapshot, or a run's folder for its newest one; several models give mean and range.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    model: Vec<PathBuf>,
    /// The data to compare with [default: those that the model or its run names].
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
    #[arg(long, value_name = "N", value_parser = in_range::<u32>(2..=10_000_000))]
    num: Option<u32>,
    /// Noise levels to walk through [default: as the models were trained for].
    #[arg(long, value_name = "N", value_parser = in_range::<u32>(1..=1000))]
    steps: Option<u32>,
    #[command(flatten)]
    choice: ChoiceArgs,
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
    /// How each was chosen among candidates, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<String>,
    device: String,
    metrics: Vec<Metric>,
}

/// What samples are compared with.
enum Reference {
    Points(PointReference),
    Images(Box<ImageReference>),
}

/// Measures samples of models that make the same data.
pub struct Ruler {
    reference: Reference,
    /// What is measured.
    pub kinds: Vec<MetricKind>,
    /// How many samples.
    pub num: usize,
}

impl Ruler {
    /// For samples of `model`, so many or as many as is usual, against `data` or those that it names, by these metrics or
    /// the usual ones.
    pub fn new(
        model: &ModelFile,
        data: Option<&str>,
        split: Split,
        num: Option<u32>,
        metrics: &[MetricKind],
        quiet: bool,
    ) -> anyhow::Result<Self> {
        let shape = &model.meta.data_shape[..];
        let data = data.map_or_else(|| data_of(model), |data| Ok(data.to_owned()))?;
        let points = if shape == [2] { Some(points_of(&data, num)?) } else { None };
        let density = points.as_ref().and_then(PointReference::density);
        let usual = points.as_ref().map_or(10_000, |points| points.count().min(USUAL));
        let num = num.map_or(usual, |n| n as usize);
        let readable = can_read(model.meta.network.classes(), density, &model.meta.dataset, shape);
        let kinds = kinds(metrics, density, shape, readable)?;
        if num <= DEFAULT_K && kinds.iter().any(|kind| OF_NEIGHBOURS.contains(kind)) {
            return Err(bad_input!("--num {num}: precision and recall need {} samples at least", DEFAULT_K + 1));
        }
        let reference = match (points, shape) {
            (Some(points), _) => Reference::Points(points),
            (None, &[height, width, channels]) => {
                let shape = [height, width, channels];
                Reference::Images(Box::new(ImageReference::load(&data, split, shape, num, &compared(&kinds), quiet)?))
            }
            (None, shape) => {
                return Err(bad_input!("{}: there are no metrics for data of shape {shape:?}", model.name));
            }
        };
        Ok(Self { reference, kinds, num })
    }

    /// What the numbers refer to.
    pub fn describe(&self) -> String {
        match &self.reference {
            Reference::Points(points) => points.describe(),
            Reference::Images(images) => images.describe(),
        }
    }

    /// The classes of the samples that are measured: of a density as often as it has each, else in turn. Empty without.
    pub fn classes(&self, model: &ModelFile) -> Vec<u32> {
        let network = &model.meta.network;
        let of_data = match &self.reference {
            Reference::Points(points) if network.classes() > 0 => points.classes(self.num, network.classes()),
            _ => None,
        };
        of_data.unwrap_or_else(|| network.classes_of(&(0..self.num as u32).collect::<Vec<u32>>()))
    }

    /// The values of samples that a model drew, of [`Ruler::classes`].
    pub fn measure(&self, executor: &mut Executor, model: &ModelFile, samples: &[f32]) -> anyhow::Result<Vec<f64>> {
        let (classes, range) = (self.classes(model), model.meta.data_range);
        let compared = compared(&self.kinds);
        let (values, density) = match &self.reference {
            Reference::Points(points) => (points.measure(samples, &compared)?, points.density()),
            Reference::Images(images) => (images.measure(executor, samples, range, &compared)?, None),
        };
        let mut values = values.into_iter();
        let value = |kind: &MetricKind| match kind {
            MetricKind::ClassAccuracy => class_accuracy(executor, samples, &classes, density, range),
            _ => values.next().context("every other metric has a value"),
        };
        self.kinds.iter().map(value).collect()
    }

    /// Each kind of metric with its values, one for each run, and the scale on which they are to be read.
    fn report(&self, executor: &mut Executor, values: &[Vec<f64>]) -> anyhow::Result<Vec<Metric>> {
        let floor = match &self.reference {
            Reference::Points(_) => Vec::new(),
            Reference::Images(images) => images.floor(executor, &compared(&self.kinds))?,
        };
        let against = |kind| match &self.reference {
            Reference::Points(points) => points.count(),
            Reference::Images(images) => images.count(kind),
        };
        let named = |(kind, values): (&MetricKind, &Vec<f64>)| -> Result<Metric, EvalError> {
            let against = (*kind != MetricKind::ClassAccuracy).then(|| against(*kind));
            let count = match &self.reference {
                Reference::Points(points) if *kind == MetricKind::KlGridFloor => points.floor_count(),
                _ => self.num,
            };
            Ok(Metric { against, ..Metric::over_runs(*kind, values, count)? })
        };
        let metrics = self.kinds.iter().zip(values).map(named).collect::<Result<Vec<_>, _>>()?;
        Ok([metrics, floor].concat())
    }
}

/// Those that ask for the nearest neighbours of each sample.
const OF_NEIGHBOURS: [MetricKind; 4] =
    [MetricKind::PrecisionLenet, MetricKind::RecallLenet, MetricKind::DensityLenet, MetricKind::CoverageLenet];

/// Those that compare samples with data.
fn compared(kinds: &[MetricKind]) -> Vec<MetricKind> {
    kinds.iter().copied().filter(|kind| *kind != MetricKind::ClassAccuracy).collect()
}

/// Measures and prints.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut models = args.model.iter().map(|path| open_model(path)).collect::<Result<Vec<_>, _>>()?;
    for model in &mut models {
        set_steps(model, args.steps)?;
    }
    let first = &models[0].meta;
    for model in &models[1..] {
        if model.meta.data_shape != first.data_shape {
            return Err(bad_input!("{}: makes other data than {}; compare like with like", model.name, models[0].name));
        }
        let (wanted, got) = (first.network.classes(), model.meta.network.classes());
        if wanted != got {
            let other = &models[0].name;
            return Err(bad_input!("{}: has {got} classes, {other} {wanted}; compare like with like", model.name));
        }
    }
    let ratios = models.iter().map(|model| args.choice.open_ratio(model)).collect::<Result<Vec<_>, _>>()?;
    let choice = (args.choice.candidates() > 1).then(|| args.choice.to_string());
    let ruler = Ruler::new(&models[0], args.data.as_deref(), args.split, args.num, &args.metrics, quiet)?;
    let num = ruler.num;
    let mut executor = device::open(&args.device, quiet)?;
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); ruler.kinds.len()];
    for (model, ratio) in models.iter().zip(&ratios) {
        note(quiet, format_args!("{} (step {}, {})", model.name, model.meta.step, model.meta.dataset));
        let samples =
            drawn(&mut executor, model, ratio.as_ref(), &args.choice, &ruler).with_context(|| model.name.clone())?;
        let run = ruler.measure(&mut executor, model, &samples)?;
        values.iter_mut().zip(run).for_each(|(all, value)| all.push(value));
    }
    let reference = ruler.describe();
    let metrics = ruler.report(&mut executor, &values)?;
    if args.json {
        let models = models.iter().map(|model| model.name.clone()).collect();
        let device = executor.name();
        return print_json(&Report { models, reference: &reference, samples: num, choice, device, metrics });
    }
    let choice = choice.map_or_else(String::new, |choice| format!(", each {choice}"));
    print(format_args!("reference: {reference}; samples: {num}{choice}, seeds 0-{}", num - 1))?;
    metrics.iter().try_for_each(print)
}

/// The data that a model was trained on: by the settings of the run beside it, else known ones by their name.
fn data_of(model: &ModelFile) -> anyhow::Result<String> {
    let run = Path::new(&model.name).parent().and_then(Path::parent).map(|run| run.join("config.json"));
    if let Some(data) = run.filter(|run| run.is_file()).and_then(|run| read_config(&run).ok()?.data) {
        return Ok(data);
    }
    let name = &model.meta.dataset;
    if Density::parse(name).is_ok() || Official::parse(name).is_some() || name == EMBEDDED {
        return Ok(name.clone());
    }
    Err(bad_input!("{}: says of its data only the name `{name}`; give them with --data", model.name))
}

/// Points of a density or of a file.
fn points_of(data: &str, num: Option<u32>) -> anyhow::Result<PointReference> {
    if let Ok(density) = Density::parse(data) {
        return Ok(PointReference::new(density, num.map_or(USUAL, |n| n as usize)));
    }
    if let Some(points) = load_points(Path::new(data))? {
        return PointReference::own(data, &points, num.map(|n| n as usize));
    }
    let names: Vec<&str> = Density::ALL.iter().map(|density| density.name()).collect();
    Err(bad_input!("--data {data}: this model makes points; give an N x 2 .npy file, or one of {}", names.join(", ")))
}

/// The metrics that were asked for, or the usual ones of such data.
fn kinds(
    asked: &[MetricKind],
    density: Option<Density>,
    shape: &[usize],
    readable: bool,
) -> anyhow::Result<Vec<MetricKind>> {
    use MetricKind::{
        ClassAccuracy, CommonestClass, CoverageLenet, DensityLenet, EnergyDistance, FidLenet, HighQuality, KlGrid,
        KlGridFloor, ModesReached, PrecisionLenet, RarestClass, RecallLenet,
    };
    let (mut usual, rare) = if shape == [2] {
        let mut all = vec![KlGrid, KlGridFloor, EnergyDistance];
        if density.is_some_and(|density| density.modes().is_some()) {
            all.extend([ModesReached, HighQuality]);
        }
        (all, vec![])
    } else if Lenet::check_shape(shape).is_ok() {
        (
            vec![FidLenet, PrecisionLenet, RecallLenet],
            [vec![DensityLenet, CoverageLenet, RarestClass, CommonestClass], OF_PIXELS.to_vec()].concat(),
        )
    } else {
        (OF_PIXELS[..2].to_vec(), OF_PIXELS[2..].to_vec())
    };
    if readable {
        usual.push(ClassAccuracy);
    }
    let possible = [usual.clone(), rare].concat();
    if let Some(other) = asked.iter().find(|kind| !possible.contains(kind)) {
        let names: Vec<&str> = possible.iter().map(|kind| kind.stem()).collect();
        let what = match (*other, density) {
            (ClassAccuracy, _) => "models without classes, or data whose classes it can't tell".to_owned(),
            (_, Some(density)) => density.name().to_owned(),
            (_, None) => format!("data of shape {shape:?}"),
        };
        return Err(bad_input!("--metrics {}: not for {what}; choose from {}", other.stem(), names.join(", ")));
    }
    Ok(if asked.is_empty() { usual } else { asked.to_vec() })
}

/// The samples of the seeds from 0 on, of the classes that are measured.
fn drawn(
    executor: &mut Executor,
    model: &ModelFile,
    ratio: Option<&ModelFile>,
    choice: &ChoiceArgs,
    ruler: &Ruler,
) -> anyhow::Result<Vec<f32>> {
    let mut generator = open_generator(executor, model)?;
    let seeds: Vec<u32> = (0..ruler.num as u32).collect();
    let classes = ruler.classes(model);
    let Some(ratio) = ratio else { return draw(&mut generator, executor, &seeds, &classes) };
    let batch = generator.rows();
    let verifier = Verifier::new(executor, ratio, batch)?;
    let (candidates, choice) = (choice.candidates(), choice.choice());
    let mut chooser = Chooser { generator: &mut generator, verifier: &verifier, candidates, choice, batch };
    Ok(pollster::block_on(chooser.draw(executor, &seeds, &classes, &|_| ()))?.samples)
}

/// Whether it can be told which of so many classes a sample shows: points by the density, digits by the classifier.
pub fn can_read(classes: usize, density: Option<Density>, data: &str, shape: &[usize]) -> bool {
    classes > 0
        && match density {
            Some(density) => density.classes() == classes,
            None => matches!(data, "mnist" | "mnist-10k") && classes == 10 && Lenet::check_shape(shape).is_ok(),
        }
}

/// Share of samples, points of a density or images in `range`, that show the class that was asked for.
pub fn class_accuracy(
    executor: &mut Executor,
    samples: &[f32],
    classes: &[u32],
    density: Option<Density>,
    range: [f32; 2],
) -> anyhow::Result<f64> {
    if let Some(density) = density {
        let shown = samples.as_chunks::<2>().0.iter().map(|point| density.nearest_class(*point));
        let right = shown.zip(classes).filter(|(shown, class)| shown == *class).count();
        return Ok(right as f64 / classes.len() as f64);
    }
    let labels: Vec<u8> = classes.iter().map(|class| *class as u8).collect();
    Ok(pollster::block_on(Lenet::embedded()?.accuracy(executor, &to_bytes(samples, range), &labels))?)
}
