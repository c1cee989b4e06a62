//! Drawing from model files.

use onestep_core::exec::Executor;
use onestep_core::model::{ModelFile, ModelKind, ModelMeta};
use onestep_core::nets::SIGMA_DATA;
use onestep_core::nets::latent;
use onestep_core::sampling::{Generator, SamplingError, Verifier, Walk, plane_latent};
use onestep_core::session::scatter;
use wasm_bindgen::prelude::*;

use crate::{device, js};

/// Batches of the generator: one picture while a finger drags, a grid otherwise.
const BATCHES: [usize; 4] = [1, 4, 16, 64];
/// Candidates that the ratio network judges at a time.
const JUDGED: usize = 16;
/// Samples that the many-step sampler draws.
const RACERS: usize = 4;
/// Points of a model that makes points, in its one picture.
const POINTS: usize = 4096;
/// Side of that picture.
const SCATTER: usize = 256;

/// Models on a device.
#[wasm_bindgen]
pub struct Engine {
    executor: Executor,
    generator: Option<Generator>,
    verifier: Option<Verifier>,
    teacher: Option<Walk>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the device `gpu` or `cpu`.
    pub async fn open(kind: String) -> Result<Engine, JsValue> {
        let executor = device::open(&kind).await?;
        Ok(Self { executor, generator: None, verifier: None, teacher: None })
    }

    /// Takes a model file: a generator, or a ratio network or denoiser that goes with the generator
    /// at hand. Returns what the file says about itself.
    pub fn load(&mut self, name: &str, bytes: &[u8]) -> Result<JsValue, JsValue> {
        let model = ModelFile::from_bytes(name, bytes).map_err(|e| js::sampling_error(e.into()))?;
        let parameters = model.own_parameters().map_err(|e| js::sampling_error(e.into()))?.len();
        self.take(&model).map_err(js::sampling_error)?;
        Ok(describe(&model.meta, parameters))
    }

    /// The pictures of seeds: `{pixels, count, height, width, channels, classes}`. A model of points gives one picture of
    /// many points, whose first seed is the first of these. Here and below, `class` is none or one number, that of the
    /// class of all pictures modulo those that there are; without it a seed stands for its own.
    pub async fn draw(&mut self, seeds: Vec<u32>, class: Vec<u32>) -> Result<JsValue, JsValue> {
        let (generator, executor) = self.generator()?;
        let seeds = match (generator.meta().data_shape.len(), seeds.first()) {
            (1, Some(first)) => (0..POINTS as u32).map(|i| first.wrapping_add(i)).collect(),
            _ => seeds,
        };
        let classes = generator.meta().network.classes_of(either(&class, &seeds));
        let samples = generator.draw_seeds_of(executor, &seeds, &classes).await.map_err(js::sampling_error)?;
        Ok(pictures(generator.meta(), &samples, 1.0))
    }

    /// The pictures at places `u, v, u, v, ..` of the plane of latents of a seed.
    #[wasm_bindgen(js_name = drawPlane)]
    pub async fn draw_plane(&mut self, seed: u32, places: Vec<f32>, class: Vec<u32>) -> Result<JsValue, JsValue> {
        let (generator, executor) = self.generator()?;
        let width = generator.width();
        let places = places.as_chunks::<2>().0;
        let latents: Vec<f32> = places.iter().flat_map(|[u, v]| plane_latent(seed, width, *u, *v)).collect();
        let classes = generator.meta().network.classes_of(either(&class, &[seed]));
        let samples = generator.draw_classes(executor, &latents, &classes).await.map_err(js::sampling_error)?;
        Ok(pictures(generator.meta(), &samples, 1.0))
    }

    /// The pictures of seeds, of one class, with the score of each: higher is closer to the data.
    pub async fn judge(&mut self, seeds: Vec<u32>, class: Vec<u32>) -> Result<JsValue, JsValue> {
        let Self { executor, generator: Some(generator), verifier: Some(verifier), .. } = self else {
            return Err(not_loaded());
        };
        let classes = generator.meta().network.classes_of(&class);
        let samples = generator.draw_seeds_of(executor, &seeds, &classes).await.map_err(js::sampling_error)?;
        let scores = verifier.scores_of(executor, &samples, &classes).await.map_err(js::sampling_error)?;
        let drawn = pictures(generator.meta(), &samples, 1.0);
        js_sys::Reflect::set(&drawn, &"scores".into(), &js::floats(&scores))?;
        Ok(drawn)
    }

    /// Starts the many-step sampler on the latents of seeds.
    #[wasm_bindgen(js_name = startTeacher)]
    pub fn start_teacher(&mut self, seeds: &[u32], class: &[u32]) -> Result<(), JsValue> {
        let Self { executor, generator: Some(generator), teacher: Some(teacher), .. } = self else {
            return Err(not_loaded());
        };
        let width = generator.width();
        let mut latents: Vec<f32> = seeds.iter().flat_map(|seed| latent(*seed, width)).collect();
        latents.resize(teacher.rows() * width, 0.0);
        let classes = generator.meta().network.classes_of(either(class, seeds));
        if !classes.is_empty() {
            teacher.say(executor, &classes).map_err(js::sampling_error)?;
        }
        teacher.start(executor, &latents).map_err(js::sampling_error)
    }

    /// One step of the many-step sampler: pictures with `step` and `evaluations`, or `undefined` after the last. Noisy states are scaled to the contrast of a picture.
    #[wasm_bindgen(js_name = advanceTeacher)]
    pub async fn advance_teacher(&mut self) -> Result<JsValue, JsValue> {
        let Self { executor, generator: Some(generator), teacher: Some(teacher), .. } = self else {
            return Err(not_loaded());
        };
        let Some(state) = teacher.advance(executor).await.map_err(js::sampling_error)? else {
            return Ok(JsValue::UNDEFINED);
        };
        let step = teacher.level();
        let sigma = teacher.sigma(step);
        let drawn = pictures(generator.meta(), &state, SIGMA_DATA / (sigma * sigma + SIGMA_DATA * SIGMA_DATA).sqrt());
        for (name, value) in [("step", step.into()), ("evaluations", teacher.evaluations(step).into())] {
            js_sys::Reflect::set(&drawn, &name.into(), &value)?;
        }
        Ok(drawn)
    }

    /// Destroys the GPU device, as a driver's reset would: for tests.
    pub fn lose(&self) {
        device::lose(&self.executor);
    }
}

impl Engine {
    fn generator(&mut self) -> Result<(&mut Generator, &mut Executor), JsValue> {
        match &mut self.generator {
            Some(generator) => Ok((generator, &mut self.executor)),
            None => Err(not_loaded()),
        }
    }

    fn take(&mut self, model: &ModelFile) -> Result<(), SamplingError> {
        let executor = &mut self.executor;
        match model.meta.kind {
            ModelKind::Generator => {
                // One that does not fit this device leaves the old one in place only in name.
                (self.generator, self.verifier, self.teacher) = (None, None, None);
                let batches: &[usize] = if model.meta.data_shape.len() == 1 { &[POINTS] } else { &BATCHES };
                let generator = Generator::new(executor, model, batches)?;
                let on_card = matches!(executor, Executor::Gpu(_));
                self.generator = Some(if on_card { generator.with_witness(model)? } else { generator });
            }
            ModelKind::Ratio => self.verifier = Some(Verifier::new(executor, model, JUDGED)?),
            ModelKind::Denoiser => self.teacher = Some(Walk::of_model(executor, model, RACERS)?),
            ModelKind::State => {}
        }
        Ok(())
    }
}

/// The error of a call whose network is not on the device.
fn not_loaded() -> JsValue {
    js::error("NoModel", "the network for it is not loaded")
}

/// The class that was asked for, else what seeds stand for.
fn either<'a>(class: &'a [u32], seeds: &'a [u32]) -> &'a [u32] {
    if class.is_empty() { seeds } else { class }
}

/// What a file says about itself.
fn describe(meta: &ModelMeta, parameters: usize) -> JsValue {
    js::object(&[
        ("kind", meta.kind.name().into()),
        ("parameters", (parameters as u32).into()),
        ("dataset", meta.dataset.as_str().into()),
        ("step", (meta.step as f64).into()),
    ])
}

/// Samples, times `scale`, as grey levels or colours.
fn pictures(meta: &ModelMeta, samples: &[f32], scale: f32) -> JsValue {
    let [low, high] = meta.data_range;
    let (pixels, [count, height, width, channels]) = if let &[height, width, channels] = &meta.data_shape[..] {
        let levels = 255.0 / (high - low);
        let pixels = samples.iter().map(|x| ((x * scale - low) * levels).round().clamp(0.0, 255.0) as u8).collect();
        (pixels, [samples.len() / (height * width * channels), height, width, channels])
    } else {
        (scatter(samples, low.abs().max(high.abs()), SCATTER), [1, SCATTER, SCATTER, 1])
    };
    let number = |n: usize| JsValue::from(n as u32);
    js::object(&[
        ("pixels", js::bytes(&pixels)),
        ("count", number(count)),
        ("height", number(height)),
        ("width", number(width)),
        ("channels", number(channels)),
        ("classes", number(meta.network.classes())),
    ])
}
