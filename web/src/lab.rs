//! Training on points in the plane, live: a session of the engine, advanced in slices of time.

use std::sync::{Arc, Mutex, PoisonError};

use js_sys::Array;
use onestep_core::data::{Density, cloud};
use onestep_core::eval::planar::{Grid, LIVE_BINS, kl_grid};
use onestep_core::exec::Executor;
use onestep_core::sampling::canary;
use onestep_core::session::{Command, Event, Flow, Session};
use onestep_core::train::{Config, Divergence, Handover, METHODS, Method, Preset, Recipe, See, Setup, TrainingData};
use wasm_bindgen::prelude::*;

use crate::{device, js};

/// Points along a side of the field.
const FIELD: usize = 32;
/// Half the side of the square that a visitor draws on.
const CANVAS: f32 = 1.25;
/// Iterations after which the device is waited for, so that no queue of work builds up in front of
/// the pictures.
const PER_WAIT: u32 = 4;

/// A run.
#[wasm_bindgen]
pub struct Lab {
    session: Session,
    events: Arc<Mutex<Vec<Event>>>,
    /// Points of the data, `x, y, x, y, ..`.
    real: Vec<f32>,
    half_width: f32,
}

/// The methods that the laboratory offers, as objects with `name`, `about` and the settings that it reads, `knobs`. One that fills a store with samples of
/// many evaluations would leave the page without an answer for minutes.
#[wasm_bindgen]
pub fn methods() -> JsValue {
    let data = TrainingData::density(Density::Gaussians8, 0);
    let waits = |recipe: &Recipe| {
        recipe.phases.iter().flat_map(|phase| &phase.then).any(|then| matches!(then, Handover::Collect { .. }))
    };
    let offered = |method: &&'static Method| {
        let config = Preset::find("gaussians").map_or_else(Config::default, |preset| preset.config_for(method));
        let network = data.network(&config);
        !waits(&Setup { network, data: data.spec.clone(), config }.recipe())
    };
    let object = |method: &Method| {
        let knobs = method.knobs.join(" ").into();
        js::object(&[("name", method.name.into()), ("about", method.about.into()), ("knobs", knobs)])
    };
    METHODS.iter().filter(offered).map(object).collect::<Array>().into()
}

#[wasm_bindgen]
impl Lab {
    /// Starts a run on the device `gpu` (after the start-up canary) or `cpu`, paused. The data are a density by name, or
    /// `drawing` with the vertices `x, y, x, y, ..` of a visitor's strokes. A method that is not known is the first. The
    /// usual learning rates are multiplied by `rate`; `critic_steps` and `noise` are taken if they are not 0, and so is a
    /// divergence that there is.
    #[expect(clippy::too_many_arguments, reason = "an object would cost the page more bytes")]
    pub async fn open(
        kind: String,
        data: String,
        vertices: Vec<f32>,
        seed: u32,
        method: String,
        rate: f32,
        critic_steps: u32,
        divergence: String,
        noise: f32,
    ) -> Result<Lab, JsValue> {
        let method = Method::find(&method).unwrap_or(&METHODS[0]);
        let (data, half_width, preset) = if data == "drawing" {
            let points = cloud(&vertices, seed);
            if points.is_empty() {
                return Err(js::error("NoData", "the drawing is empty: draw a line first"));
            }
            (TrainingData::points("drawing", &points), CANVAS, "two-moons")
        } else {
            let density = Density::parse(&data).map_err(|e| js::error("NoData", &e.to_string()))?;
            let preset = if density == Density::Gaussians8 { "gaussians" } else { density.name() };
            (TrainingData::density(density, seed), density.half_width().max(CANVAS), preset)
        };
        let preset = Preset::find(preset).ok_or_else(|| js::error("NoData", "this density has no preset"))?;
        let usual = preset.config_for(method);
        let config = Config {
            seed,
            // Half of a native run's: a page should move on a phone, too.
            batch: 256,
            // Learning rates fall to zero over the run, which should end while the visitor watches.
            steps: 2000,
            // Pictures come when they are asked for.
            snap: 1_000_000_000,
            tick: 10,
            warmup_steps: usual.warmup_steps.min(1000),
            lr_warmup: (usual.lr_warmup * rate).min(1.0),
            lr_generator: (usual.lr_generator * rate).min(1.0),
            lr_critic: (usual.lr_critic * rate).min(1.0),
            critic_steps: if critic_steps > 0 { critic_steps } else { usual.critic_steps },
            divergence: *Divergence::ALL.iter().find(|d| d.name() == divergence).unwrap_or(&usual.divergence),
            sigma_max: if noise > 0.0 { noise.max(2.0 * usual.sigma_min) } else { usual.sigma_max },
            ..usual
        };
        let network = data.network(&config);
        let setup = Setup { network, data: data.spec.clone(), config };
        let mut executor = device::open(&kind).await?;
        if matches!(executor, Executor::Gpu(_)) {
            canary(&mut executor).await.map_err(js::sampling_error)?;
        }
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = Arc::clone(&events);
        let sink = move |event| sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        let real = data.first.clone();
        let session = Session::new(executor, setup, data, Box::new(sink), Box::new(js::clock));
        let mut session = session.map_err(js::session_error)?;
        session.handle(Command::Pause);
        Ok(Self { session, events, real, half_width })
    }

    /// What stays as it is: half the side of the square that is shown as `halfWidth`, points of the data as `real`, the
    /// noise that each sample is made of as `latents`, the title of what colours and arrows show as `field`, and whether
    /// the method has a statistic that stands for the quality of its samples as `hasMeter`.
    pub fn describe(&self) -> JsValue {
        let field = self.session.trainer().recipe().field().map(|sight| sight.name.into());
        js::object(&[
            ("halfWidth", self.half_width.into()),
            ("real", js::floats(&self.real)),
            ("latents", js::floats(self.session.latents())),
            ("field", field.unwrap_or(JsValue::UNDEFINED)),
            ("hasMeter", self.meter().is_some().into()),
        ])
    }

    /// Trains for about this long; returns the statistics that came meanwhile, by name, that which stands for the
    /// quality of the samples as `meter`, and whether the run has made all its steps as `finished`.
    pub async fn train(&mut self, millis: f64) -> Result<JsValue, JsValue> {
        let end = js::now_ms() + millis;
        self.session.handle(Command::Play);
        let (mut done, mut finished) = (0, false);
        while js::now_ms() < end {
            if self.session.advance().await.map_err(js::session_error)? == Flow::End {
                finished = true;
                break;
            }
            done += 1;
            if done % PER_WAIT == 0 {
                self.wait().await?;
            }
        }
        self.wait().await?;
        self.session.handle(Command::Pause);
        let statistics = self.take_statistics();
        js_sys::Reflect::set(&statistics, &"finished".into(), &finished.into())?;
        Ok(statistics)
    }

    /// One update, by its name.
    pub async fn step(&mut self, update: String) -> Result<JsValue, JsValue> {
        self.session.handle(Command::Step(update));
        self.session.advance().await.map_err(js::session_error)?;
        Ok(self.take_statistics())
    }

    /// What there is to see: `samples`, and at noise level `sigma` the field's `heights` and
    /// `slopes` (`side` x `side`, both coordinates ascending), the divergence `kl`, and the names of the `updates` that
    /// can be made one by one.
    pub async fn view(&mut self, sigma: f32) -> Result<JsValue, JsValue> {
        self.session.handle(Command::Sample);
        self.session.advance().await.map_err(js::session_error)?;
        let field = self.session.field(FIELD, self.half_width, sigma).await.map_err(js::session_error)?;
        let mut samples = Vec::new();
        self.events().retain_mut(|event| match event {
            Event::Grid { samples: grid, .. } => {
                samples = std::mem::take(grid);
                false
            }
            _ => true,
        });
        let grid = Grid::new([-self.half_width; 2], 2.0 * self.half_width, LIVE_BINS);
        let kl = grid.and_then(|grid| kl_grid(points(&self.real), points(&samples), &grid));
        let kl = kl.map_err(|e| js::error("Diverged", &e.to_string()))?;
        Ok(js::object(&[
            ("samples", js::floats(&samples)),
            ("heights", js::floats(&field.heights)),
            ("slopes", js::floats(&field.arrows)),
            ("side", (FIELD as u32).into()),
            ("kl", kl.into()),
            ("updates", self.session.updates().into_iter().map(JsValue::from_str).collect::<Array>().into()),
            ("iterations", (self.session.iterations() as f64).into()),
        ]))
    }

    /// Destroys the GPU device, as a driver's reset would: for tests.
    pub fn lose(&self) {
        device::lose(&self.session.trainer().executor);
    }
}

impl Lab {
    fn events(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self) -> Result<(), JsValue> {
        let executor = &self.session.trainer().executor;
        executor.finished().await.map_err(|e| js::session_error(e.into()))
    }

    /// The statistic that the method shows for the quality of its samples.
    fn meter(&self) -> Option<&'static str> {
        self.session.trainer().recipe().sights.iter().find_map(|sight| match sight.see {
            See::Levels { mean, .. } => Some(mean),
            _ => None,
        })
    }

    /// The last statistics and warnings; other events are for hosts without a screen.
    fn take_statistics(&self) -> JsValue {
        let mut properties = Vec::new();
        let events = std::mem::take(&mut *self.events());
        for event in &events {
            match event {
                Event::Statistics { values, .. } => {
                    properties = values.iter().map(|(name, value)| (name.as_str(), JsValue::from(*value))).collect();
                    let meter = self.meter().and_then(|name| values.get(name));
                    properties.extend(meter.map(|value| ("meter", JsValue::from(*value))));
                }
                Event::Warning { message } => js::console_error(message),
                _ => {}
            }
        }
        js::object(&properties)
    }
}

/// `x, y, x, y, ..` as points.
fn points(values: &[f32]) -> &[[f32; 2]] {
    values.as_chunks().0
}
