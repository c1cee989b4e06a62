//! Where a denoiser's paths lead from noise, and where one evaluation leads from there: what lines over the plane are
//! drawn from.

use super::trainer::numbers;
use super::{TrainError, Trainer};
use crate::eval::straightness::straightness;
use crate::nets::{Draw, cycle};
use crate::plan::SLOT_ALIGN;
use crate::sampling::{SamplingError, Walk};

/// Prefix of the stores.
const PREFIX: &str = "paths";
/// Noise levels of a path, of Heun's method.
const LEVELS: usize = 32;

/// Walks along the paths that a method shows; made ready when they are first asked for.
#[derive(Default)]
pub struct Paths(Option<Plans>);

struct Plans {
    of: Of,
    along: Walk,
    once: Walk,
}

/// What plans are for.
#[derive(Clone, PartialEq)]
struct Of {
    /// The network whose paths they are.
    network: &'static str,
    /// Stores of the weights of paths and jumps.
    weights: [String; 2],
    guidance: Option<f32>,
    rows: usize,
}

/// Paths of some latents.
#[derive(Clone, Debug, PartialEq)]
pub struct PathValues {
    /// Noise levels, falling to 0.
    pub sigmas: Vec<f32>,
    /// At each level the states `x = x0 + sigma eps` of all paths `[n, ..]`: the last are their ends.
    pub states: Vec<Vec<f32>>,
    /// Where one evaluation of the network that is drawn from leads from the first states `[n, ..]`.
    pub jumps: Vec<f32>,
    /// The [`straightness`] of the paths: 0 if one step along each is exact.
    pub straightness: f64,
    /// Root mean square of the numbers by which jumps and ends differ, in units of the data.
    pub apart: f64,
}

impl Paths {
    /// The paths of latents `[n, ..]` with the present weights; with K classes, row i has class i mod K. A teacher is
    /// guided as the settings say. `None` if the method shows no paths in this phase, or these lead nowhere finite.
    pub async fn read(&mut self, trainer: &mut Trainer, latents: &[f32]) -> Result<Option<PathValues>, TrainError> {
        let Some((_, network)) = trainer.recipe().paths(trainer.phase()) else { return Ok(None) };
        let width = trainer.setup.data.width();
        let best = trainer.recipe().network(network).expect("recipes show networks that they have").best();
        let teaches = network != trainer.drawn().name && trainer.setup.guides();
        let of = Of {
            network,
            weights: [format!("{network}.{best}"), trainer.drawn_store()?],
            guidance: teaches.then_some(trainer.setup.config.guidance),
            rows: latents.len() / width,
        };
        if let Some(old) = self.0.take_if(|plans| plans.of != of) {
            old.along.release(&mut trainer.executor);
            old.once.release(&mut trainer.executor);
        }
        if self.0.is_none() {
            self.0 = Some(Plans::new(trainer, of)?);
        }
        let Plans { along, once, .. } = self.0.as_mut().expect("made above");
        let executor = &mut trainer.executor;
        along.start(executor, latents)?;
        let sigmas: Vec<f32> = (0..=along.steps()).map(|step| along.sigma(step)).collect();
        let mut states = vec![latents.iter().map(|z| z * sigmas[0]).collect::<Vec<f32>>()];
        loop {
            match along.advance(executor).await {
                Ok(Some(state)) => states.push(state),
                Ok(None) => break,
                // Training says so by itself.
                Err(SamplingError::NotFinite { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        once.draw(executor, latents)?;
        let jumps = executor.read(&format!("{PREFIX}.sample"), 0, latents.len()).await?;
        let straightness = straightness(&states, &sigmas, width).expect("finite states, one per level");
        let squares = jumps.iter().zip(states.last().expect("as many as levels"));
        let squares: f64 = squares.map(|(jump, end)| f64::from(jump - end).powi(2)).sum();
        Ok(Some(PathValues { sigmas, states, straightness, apart: (squares / jumps.len() as f64).sqrt(), jumps }))
    }
}

impl Plans {
    fn new(trainer: &mut Trainer, of: Of) -> Result<Self, TrainError> {
        let recipe = trainer.recipe();
        let walked = recipe.network(of.network).expect("recipes show networks that they have").net.clone();
        let (drawn, highest) = (trainer.drawn().net.clone(), recipe.draw.sigmas[0]);
        let (executor, store, classes) = (&mut trainer.executor, format!("{PREFIX}.class"), walked.classes());
        if classes > 0 && executor.store_len(&store).is_none() {
            executor.create_store(&store, of.rows.next_multiple_of(SLOT_ALIGN))?;
            executor.write(&store, 0, &numbers(&cycle(of.rows, classes)))?;
        }
        let levels = Draw::heun(LEVELS, highest);
        let along = Walk::guided(executor, &walked, levels, PREFIX, &of.weights[0], of.rows, of.guidance)?;
        let once = Walk::new(executor, &drawn, Draw::once(highest), PREFIX, &of.weights[1], of.rows)?;
        Ok(Self { of, along, once })
    }
}

#[cfg(all(test, feature = "gallery"))]
mod tests {
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::nets::{SIGMA_DATA, latent};
    use crate::train::tests::{points, turns, with_classes};
    use crate::train::{Method, Setup};

    fn trainer(setup: Setup) -> Trainer {
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
        trainer.set_labels(&(0..50).map(|i| i % 3).collect::<Vec<_>>()).unwrap();
        trainer
    }

    fn method(name: &str) -> &'static Method {
        Method::find(name).expect("a method")
    }

    fn read(paths: &mut Paths, trainer: &mut Trainer, latents: &[f32]) -> Option<PathValues> {
        pollster::block_on(paths.read(trainer, latents)).unwrap()
    }

    fn latents(rows: u32) -> Vec<f32> {
        (0..rows).flat_map(|seed| latent(seed, 2)).collect()
    }

    /// A network whose last layer is zero denoises a Gaussian of deviation `sd`: the path of a latent is
    /// `sqrt((sd^2 + sigma^2) / (sd^2 + sigma_0^2))` times its first state, and one evaluation gives
    /// `sd^2 / (sd^2 + sigma_0^2)` times that.
    #[test]
    fn of_a_gaussian_paths_and_jumps_end_where_they_should() {
        let mut trainer = trainer(points(method("flow")));
        let (latents, variance) = (latents(40), f64::from(SIGMA_DATA).powi(2));
        let got = read(&mut Paths::default(), &mut trainer, &latents).expect("a flow has paths");
        let highest = f64::from(got.sigmas[0]);
        let deviation = |sigma: f32| (variance + f64::from(sigma).powi(2)).sqrt();
        let share = |sigma: f32| deviation(sigma) / deviation(got.sigmas[0]) * highest;
        assert_eq!((got.sigmas.len(), got.states.len(), got.sigmas[LEVELS]), (LEVELS + 1, LEVELS + 1, 0.0));
        // A plain loop of Heun's method in f64 from 80 in these levels ends 1.6 per cent from the path; last layers are
        // nearly zero.
        let (heun, rounding) = (0.02, 1e-3);
        let near = |got: f32, wanted: f64, by: f64| (f64::from(got) - wanted).abs() <= by * wanted.abs() + 5e-5;
        for (states, sigma) in got.states.iter().zip(&got.sigmas) {
            for (state, z) in states.iter().zip(&latents) {
                assert!(near(*state, share(*sigma) * f64::from(*z), heun), "at {sigma}: {state} of {z}");
            }
        }
        let jump = variance / (variance + highest.powi(2)) * highest;
        for (got, z) in got.jumps.iter().zip(&latents) {
            assert!(near(*got, jump * f64::from(*z), rounding), "{got} of {z}");
        }
        let size = (latents.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / latents.len() as f64).sqrt();
        let apart = (share(0.0) - jump) * size;
        assert!((got.apart / apart - 1.0).abs() < heun && apart > 0.1, "{} instead of {apart}", got.apart);
        let exact =
            got.sigmas.iter().map(|sigma| latents.iter().map(|z| (share(*sigma) * f64::from(*z)) as f32).collect());
        let wanted = straightness(&exact.collect::<Vec<Vec<f32>>>(), &got.sigmas, 2).unwrap();
        assert!(
            (got.straightness / wanted - 1.0).abs() < 2.0 * heun && wanted > 0.1,
            "{} instead of {wanted}",
            got.straightness
        );
    }

    /// In the warm-up the paths are those of the network that learns; after it those of the teacher, which stay while
    /// the student's jumps change.
    #[test]
    fn after_the_warm_up_they_are_the_teachers() {
        let mut setup = with_classes(points(method("cd")));
        (setup.config.warmup_steps, setup.config.lr_generator, setup.config.guidance) = (3, 1e-2, 2.0);
        let mut trainer = trainer(setup);
        let (mut paths, latents) = (Paths::default(), latents(6));
        turns(&mut trainer, 2);
        let learning = read(&mut paths, &mut trainer, &latents).expect("the denoiser's");
        turns(&mut trainer, 2);
        let first = read(&mut paths, &mut trainer, &latents).expect("the teacher's");
        assert_ne!(learning.states, first.states);
        turns(&mut trainer, 5);
        let second = read(&mut paths, &mut trainer, &latents).expect("the teacher's");
        assert_eq!(first.states, second.states);
        assert_ne!(first.jumps, second.jumps);
        trainer.setup.config.guidance = 1.0;
        let plain = read(&mut paths, &mut trainer, &latents).expect("the teacher's");
        assert_ne!(plain.states, second.states, "the teacher is guided");
    }

    #[test]
    fn what_is_no_denoiser_any_more_has_none() {
        let mut setup = points(method("reflow"));
        (setup.config.warmup_steps, setup.config.reflow_steps) = (1, 1);
        let mut trainer = trainer(setup);
        let mut paths = Paths::default();
        for there in [true, true, false] {
            turns(&mut trainer, 1);
            assert_eq!(read(&mut paths, &mut trainer, &latents(3)).is_some(), there, "{}", trainer.phase().name);
        }
        let mut trainer = self::trainer(points(method("diffratio")));
        assert!(read(&mut paths, &mut trainer, &latents(3)).is_none());
    }
}
