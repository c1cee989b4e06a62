//! The worker's side of the tasks: one model on one device, and what is done with it.
//!
//! Invariant: a model that can't be opened leaves the one before it as it was. Each model has an executor of its own,
//! so that nothing of an older one stays on the device, and a device that was lost is opened anew with the next model.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use eframe::egui::ColorImage;
use onestep_core::data::{Picture, make_grid};
use onestep_core::exec::{ExecError, Executor};
use onestep_core::model::ModelFile;
use onestep_core::sampling::{Generator, SamplingError};

use super::job::{Answer, Drawn, Facts, Form, Latents, Samples, Task};
use super::judge::Judge;
use super::memory::Memory;
use super::worker::Turn;
use crate::device::{self, DeviceArgs, LimitsArg};
use crate::draw::open_model;
use crate::exit::{bad_input, one_line};
use crate::export::{self, Format};
use crate::pictures;

/// Batches of small generators: one image while a finger drags, many otherwise.
const BATCHES: [usize; 4] = [1, 4, 16, 64];

/// Where models are worked with.
pub struct Bench {
    device: String,
    model: Option<Model>,
    /// Models so far.
    epoch: u64,
}

/// A model on a device.
pub struct Model {
    pub file: ModelFile,
    pub executor: Executor,
    pub generator: Generator,
    judge: Judge,
    memory: Memory,
}

impl Bench {
    /// Nothing is opened yet.
    pub fn new(device: String) -> Self {
        Self { device, model: None, epoch: 0 }
    }

    /// Number of the model at hand.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Does a task; nothing if it gave way to another one.
    pub fn perform(&mut self, task: &Task, turn: &Turn<'_>) -> Option<Answer> {
        match self.try_perform(task, turn) {
            Ok(answer) => answer,
            Err(error) => Some(Answer::Failed(one_line(&explain(&error)))),
        }
    }

    fn try_perform(&mut self, task: &Task, turn: &Turn<'_>) -> anyhow::Result<Option<Answer>> {
        if let Task::Open(path) = task {
            let model = Model::open(path, &self.device)?;
            let facts = model.facts();
            self.model = Some(model);
            self.epoch += 1;
            return Ok(Some(Answer::Opened(facts)));
        }
        if let Task::SavePicture { samples, path } = task {
            picture(samples)?.save_png(path)?;
            return Ok(Some(Answer::Wrote(path.clone())));
        }
        let model = self.model.as_mut().ok_or_else(|| bad_input!("no model is open; open one first"))?;
        model.perform(task, turn)
    }
}

impl Model {
    fn open(path: &Path, device: &str) -> anyhow::Result<Self> {
        let file = open_model(path)?;
        let args = DeviceArgs { device: device.to_owned(), limits: LimitsArg::Adapter, deterministic: false };
        let (mut executor, _) = device::open_silently(&args, true)?;
        let usual = Generator::usual_batch(&file.meta);
        let batches: Vec<usize> = match file.meta.data_shape.len() {
            1 => vec![usual],
            _ => BATCHES.into_iter().filter(|batch| *batch < usual).chain([usual]).collect(),
        };
        let generator = Generator::new(&mut executor, &file, &batches)?;
        Ok(Self { file, executor, generator, judge: Judge::default(), memory: Memory::default() })
    }

    fn facts(&self) -> Facts {
        let meta = &self.file.meta;
        let path = Path::new(&self.file.name);
        Facts {
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            shape: meta.data_shape.clone(),
            range: meta.data_range,
            dataset: meta.dataset.clone(),
            license: meta.license.clone(),
            step: meta.step,
            parameters: meta.network.generator_layout().parameters(),
            device: self.executor.name(),
        }
    }

    fn perform(&mut self, task: &Task, turn: &Turn<'_>) -> anyhow::Result<Option<Answer>> {
        Ok(match task {
            Task::Open(_) | Task::SavePicture { .. } => unreachable!("the caller does these"),
            Task::Draw { latents, form } => Some(Answer::Drawn(self.draw(latents, *form)?)),
            Task::Best { seed, candidates, ratio } => {
                let Self { file, executor, generator, judge, .. } = self;
                judge.best(file, executor, generator, (*seed, *candidates), ratio.as_deref(), turn)?
            }
            Task::Nearest { first, count, data } => {
                let samples = self.draw(&Latents::Seeds { first: *first, count: *count }, Form::Each)?.samples;
                self.memory.compare(&self.file.meta, *first, &samples, data.as_deref(), turn)?
            }
            Task::ExportWeights(path) => {
                export::save(&self.file, Format::of(path), path)?;
                Some(Answer::Wrote(path.clone()))
            }
        })
    }

    fn draw(&mut self, latents: &Latents, form: Form) -> anyhow::Result<Drawn> {
        let numbers = latents.numbers(self.generator.width());
        // A plan is made once; its time is not the network's.
        self.generator.prepare(&mut self.executor, numbers.len() / self.generator.width())?;
        let classes = self.generator.meta().network.classes_of(&latents.seeds());
        let start = Instant::now();
        let drawn = pollster::block_on(self.generator.draw_classes(&mut self.executor, &numbers, &classes));
        let values = drawn.map_err(|error| {
            let Latents::Seeds { first, .. } = latents else { return error.into() };
            let SamplingError::NotFinite { index, value } = error else { return error.into() };
            let seed = first.wrapping_add(index as u32);
            bad_input!("seed {seed} gives {value}; the model has diverged; open an earlier snapshot")
        })?;
        let secs = start.elapsed().as_secs_f64();
        let samples = Arc::new(Samples::new(values, &self.file));
        let images = images(&samples, form)?;
        Ok(Drawn { latents: latents.clone(), samples, images, secs })
    }
}

impl Samples {
    /// Samples of a model.
    pub fn new(values: Vec<f32>, file: &ModelFile) -> Self {
        let (shape, range) = (file.meta.data_shape.clone(), file.meta.data_range);
        let bytes = if shape.len() == 3 { pictures::to_bytes(&values, range) } else { Vec::new() };
        Self { values, bytes, shape, range }
    }

    /// Height, width and channels, if these are images.
    pub fn image_shape(&self) -> Option<[usize; 3]> {
        self.shape.as_slice().try_into().ok()
    }
}

/// What textures are made of; nothing for points.
pub fn images(samples: &Samples, form: Form) -> anyhow::Result<Vec<ColorImage>> {
    let Some([height, width, channels]) = samples.image_shape() else { return Ok(Vec::new()) };
    let size = height * width * channels;
    Ok(match form {
        Form::Each => samples.bytes.chunks_exact(size).map(|b| color_image(b, [width, height], channels)).collect(),
        Form::Rows(columns) => {
            let shape = [samples.bytes.len() / size, height, width, channels];
            let grid = make_grid(&samples.bytes, shape, columns, 1)?;
            vec![color_image(&grid.pixels, [grid.width, grid.height], channels)]
        }
    })
}

fn color_image(bytes: &[u8], size: [usize; 2], channels: usize) -> ColorImage {
    match channels {
        3 => ColorImage::from_rgb(size, bytes),
        1 => ColorImage::from_gray(size, bytes),
        // There is no colour in other numbers of channels: the first as grey.
        _ => ColorImage::from_gray_iter(size, bytes.iter().step_by(channels).copied()),
    }
}

/// Samples as one picture for a file.
fn picture(samples: &Samples) -> anyhow::Result<Picture> {
    match (samples.image_shape(), &samples.shape[..]) {
        (Some(shape), _) => pictures::grid(&samples.bytes, shape),
        (None, [2]) => Ok(pictures::points(&samples.values, samples.range)),
        (None, _) => Err(bad_input!("points of {:?} numbers have no picture", samples.shape)),
    }
}

/// An error as a sentence, with what to do about a device that is gone.
fn explain(error: &anyhow::Error) -> String {
    let lost = |error: &ExecError| matches!(error, ExecError::DeviceLost(_));
    let is_lost = error.downcast_ref().is_some_and(lost)
        || matches!(error.downcast_ref(), Some(SamplingError::Exec(inner)) if lost(inner));
    if is_lost { format!("{error:#}; open the model again") } else { format!("{error:#}") }
}
