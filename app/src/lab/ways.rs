//! The ways to learn a difference of scores that are compared, and how each fares with one student.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use onestep_core::lab::{Bias, Distance, Gradient, Kind, Mixture, Probe, Task, difference};
use onestep_core::train::Config;

use super::record::{Cell, Run, Settings, Way};
use crate::device::{self, DeviceArgs};
use crate::interrupt;

/// Which mixture, and which points are asked about: the same for all trainings.
const PROBLEM: u32 = 1;
/// Points at each noise level.
const POINTS: usize = 2048;
/// Hidden layers of each network.
const BLOCKS: usize = 3;

/// The ways, in the order in which they are listed.
pub const WAYS: [&str; 6] = [
    "two denoisers",
    "two denoisers, teacher with a tenth of the steps",
    "ratio, equal FLOP",
    "ratio, equal parameters",
    "scaled ratio, equal FLOP",
    "ratio shown the exact scores, equal FLOP",
];
/// The last is there to find a reason, not to be compared: one seed is enough.
const SHOWN: usize = 5;

/// What all students have in common.
pub struct Bench<'a> {
    pub settings: &'a Settings,
    pub levels: &'a [f32],
    pub device: &'a DeviceArgs,
    pub bar: &'a ProgressBar,
}

/// One training of a student's networks, and how long it may be.
struct Plan<'a> {
    task: Task<'a>,
    /// Parameters and operations of all its steps.
    parameters: usize,
    operations: f64,
}

/// What the networks of one seed say of the difference, by way, and what each denoiser says.
struct Answers {
    ways: Vec<Vec<Vec<f32>>>,
    /// Teacher, teacher with a tenth of the steps, fake; and the teacher at data.
    denoisers: [Vec<Vec<f32>>; 4],
}

impl Bench<'_> {
    /// Of the progress of one student.
    pub const PARTS: u64 = 1000;

    /// The settings of a denoiser's training.
    pub fn config(&self, seed: u32) -> Config {
        let (first, last) = (self.levels[0], self.levels[self.levels.len() - 1]);
        Config {
            seed,
            steps: self.settings.steps,
            batch: self.settings.batch,
            width: self.settings.width,
            blocks: BLOCKS,
            // Tried on a student at medium distance in 8 dimensions: with 2e-3 both ways are worse, with 1e-2 denoisers
            // are, and the ratio is better at large noise alone.
            lr_critic: 5e-3,
            beta1: 0.9,
            cooldown: 1.0,
            ema: 0.99,
            sigma_min: first,
            sigma_max: last,
            ..Config::default()
        }
    }

    /// Trains and asks all networks for one student; `None` if it was interrupted.
    pub fn cell(&self, dim: usize, distance: Distance, from: u64) -> anyhow::Result<Option<Cell>> {
        let start = Instant::now();
        let data = Mixture::data(dim, PROBLEM);
        let student = data.moved(distance, PROBLEM);
        let probe = Probe::new(&data, &student, self.levels, POINTS, PROBLEM);
        // What a teacher has learned is how data look, and what it is asked about are samples.
        let on_data = Probe::at(data.draw(POINTS, PROBLEM), &data, &student, self.levels, PROBLEM);
        let exact = probe.exact();
        let mut ways: Vec<Way> = Vec::new();
        let mut biases: Vec<[Vec<Bias>; 2]> = Vec::new();
        let mut parts = vec![vec![0.0; self.levels.len()]; 4];
        let seeds = self.settings.seeds;
        for seed in 1..=seeds {
            let plans = self.plans(&data, &student, seed)?;
            if ways.is_empty() {
                ways = described(&plans);
                let levels = vec![Bias::default(); self.levels.len()];
                biases = vec![[levels, vec![Bias::default()]]; WAYS.len()];
            }
            let step = Self::PARTS / u64::from(seeds);
            let Some(answers) =
                self.answers(&plans, [&probe, &on_data], seed, from + u64::from(seed - 1) * step, step)?
            else {
                return Ok(None);
            };
            for ((way, [fields, gradients]), answer) in ways.iter_mut().zip(&mut biases).zip(&answers.ways) {
                way.runs.push(compared(&probe, &exact, answer, seed, fields, &mut gradients[0]));
            }
            let asked = [(&probe, 0), (&probe, 0), (&probe, 1), (&on_data, 0)];
            for (part, (said, (probe, truth))) in parts.iter_mut().zip(answers.denoisers.iter().zip(asked)) {
                for (level, sum) in part.iter_mut().enumerate() {
                    *sum += relative(&said[level], probe.denoised(level)[truth], &exact[level]) / f64::from(seeds);
                }
            }
        }
        for (way, [fields, gradients]) in ways.iter_mut().zip(&biases) {
            let sizes = exact.iter().map(|field| square(field));
            way.field_bias = fields.iter().zip(sizes).filter_map(|(bias, size)| Some(bias.square()? / size)).collect();
            let size: f64 = total(&probe, &exact).iter().map(|x| x * x).sum();
            way.gradient_bias = gradients[0].square().map(|bias| bias / size);
        }
        let secs = start.elapsed().as_secs_f64();
        let [teacher, short_teacher, fake, teacher_on_data] = <[Vec<f64>; 4]>::try_from(parts).expect("there are four");
        let divergence = probe.divergence.clone();
        Ok(Some(
            Cell { dim, distance, divergence, secs, ways, teacher, short_teacher, teacher_on_data, fake }.rounded(),
        ))
    }

    /// All trainings of a seed: both denoisers, the short teacher, and four ratio networks.
    fn plans<'a>(&self, data: &'a Mixture, student: &'a Mixture, seed: u32) -> anyhow::Result<[Plan<'a>; 7]> {
        let plan = |kind, change: &dyn Fn(&mut Config)| -> anyhow::Result<Plan<'a>> {
            let mut config = self.config(seed);
            change(&mut config);
            let task = Task { kind, data, student, config };
            let operations = task.operations()? as f64 * task.config.steps as f64;
            Ok(Plan { parameters: task.parameters(), operations, task })
        };
        let teacher = plan(Kind::OfData, &|_| ())?;
        let short = plan(Kind::OfData, &|config| config.steps = (config.steps / 10).max(1))?;
        let fake = plan(Kind::OfSamples, &|_| ())?;
        let operations = teacher.operations + fake.operations;
        let at_equal_flop = |kind| -> anyhow::Result<Plan<'a>> {
            let each = plan(kind, &|config| config.steps = 1)?.operations;
            plan(kind, &|config| config.steps = (operations / each).round().max(1.0) as u64)
        };
        let parameters = teacher.parameters + fake.parameters;
        let width = self.width_of(parameters, &teacher.task);
        let wide = plan(Kind::Ratio, &|config| config.width = width)?;
        let [ratio, scaled, shown] = [Kind::Ratio, Kind::Scaled, Kind::Shown].map(at_equal_flop);
        Ok([teacher, short, fake, ratio?, wide, scaled?, shown?])
    }

    /// Width of the ratio network that comes nearest to so many parameters.
    fn width_of(&self, parameters: usize, like: &Task<'_>) -> usize {
        let of = |width| {
            let config = Config { width, ..like.config.clone() };
            Task { kind: Kind::Ratio, config, ..like.clone() }.parameters()
        };
        let widths = self.settings.width..=4 * self.settings.width;
        widths.min_by_key(|width| of(*width).abs_diff(parameters)).expect("there are some")
    }

    fn answers(
        &self,
        plans: &[Plan<'_>; 7],
        [probe, on_data]: [&Probe; 2],
        seed: u32,
        from: u64,
        parts: u64,
    ) -> anyhow::Result<Option<Answers>> {
        // The one that is shown the answer is the last.
        let plans = if seed == 1 { &plans[..] } else { &plans[..plans.len() - 1] };
        let whole: f64 = plans.iter().map(|plan| plan.operations).sum();
        let done: Vec<AtomicU64> = plans.iter().map(|_| AtomicU64::new(0)).collect();
        let stop = |number: usize, turn: u64| {
            done[number].store(turn, Ordering::Relaxed);
            let share = |(plan, done): (&Plan<'_>, &AtomicU64)| {
                plan.operations * done.load(Ordering::Relaxed) as f64 / plan.task.config.steps as f64
            };
            let position = plans.iter().zip(&done).map(share).sum::<f64>() / whole * parts as f64;
            self.bar.set_position(from + position as u64);
            interrupt::requested()
        };
        let open = || Ok::<_, anyhow::Error>(device::open_silently(self.device, true)?.0);
        let tasks: Vec<&Task<'_>> = plans.iter().map(|plan| &plan.task).collect();
        let Some(trained) = Task::train_all(&tasks, open, stop)? else { return Ok(None) };
        let said: anyhow::Result<Vec<_>> =
            trained.iter().map(|trained| Ok(probe.ask(open()?, trained)?.fields)).collect();
        let mut said = said?.into_iter();
        let [teacher, short, fake] = [(); 3].map(|()| said.next().expect("denoisers are trained with every seed"));
        let ways = [difference(&teacher, &fake), difference(&short, &fake)].into_iter().chain(said).collect();
        let denoisers = [teacher, short, fake, on_data.ask(open()?, &trained[0])?.fields];
        Ok(Some(Answers { ways, denoisers }))
    }
}

/// The ways without results.
fn described(plans: &[Plan<'_>; 7]) -> Vec<Way> {
    let [teacher, short, fake, ratios @ ..] = plans;
    let of = |plans: &[&Plan<'_>]| {
        let parameters = plans.iter().map(|plan| plan.parameters).sum();
        let gflop = plans.iter().map(|plan| plan.operations).sum::<f64>() * 1e-9;
        let steps = plans.iter().map(|plan| plan.task.config.steps).collect();
        Way { parameters, gflop, steps, ..Way::default() }
    };
    let all = [of(&[teacher, fake]), of(&[short, fake])].into_iter().chain(ratios.iter().map(|ratio| of(&[ratio])));
    all.zip(WAYS).map(|(way, name)| Way { name: name.to_owned(), ..way }).collect()
}

/// How far an answer is off, at points and in the generator's gradient.
fn compared(
    probe: &Probe,
    exact: &[Vec<f32>],
    answer: &[Vec<f32>],
    seed: u32,
    fields: &mut [Bias],
    gradient: &mut Bias,
) -> Run {
    for ((bias, got), wanted) in fields.iter_mut().zip(answer).zip(exact) {
        bias.add(got.iter().zip(wanted).map(|(got, wanted)| f64::from(got - wanted)));
    }
    let (got, wanted) = (total(probe, answer), total(probe, exact));
    gradient.add(got.iter().zip(&wanted).map(|(got, wanted)| got - wanted));
    let by_level = answer.iter().zip(exact);
    Run {
        seed,
        field: by_level.clone().map(|(got, wanted)| relative(got, wanted, wanted)).collect(),
        levels: by_level.map(|(got, wanted)| Gradient::of(&probe.pull(got), &probe.pull(wanted))).collect(),
        gradient: Gradient::of(&got, &wanted),
        normalized: Gradient::of(&normalized(probe, answer), &normalized(probe, exact)),
    }
}

/// The generator's gradient, all noise levels together: each with the weight `sigma^2`, as fields are in units of the data.
fn total(probe: &Probe, fields: &[Vec<f32>]) -> Vec<f64> {
    sum(fields.iter().map(|field| probe.pull(field)))
}

/// The same with each level divided by its own root mean square, as `diffratio` does.
fn normalized(probe: &Probe, fields: &[Vec<f32>]) -> Vec<f64> {
    sum(fields.iter().map(|field| {
        let size = (square(field) / field.len() as f64).sqrt();
        probe.pull(field).into_iter().map(|x| x / size).collect()
    }))
}

fn sum(vectors: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    vectors.reduce(|sum, vector| sum.iter().zip(vector).map(|(a, b)| a + b).collect()).unwrap_or_default()
}

fn square(field: &[f32]) -> f64 {
    field.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// `|got - wanted|^2 / |of|^2`
fn relative(got: &[f32], wanted: &[f32], of: &[f32]) -> f64 {
    let wrong: f64 = got.iter().zip(wanted).map(|(got, wanted)| f64::from(got - wanted).powi(2)).sum();
    wrong / square(of)
}

/// The position of [`WAYS`] that is a control, for the picture.
pub fn is_compared(way: &str) -> bool {
    way != WAYS[SHOWN]
}
