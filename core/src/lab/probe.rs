//! How far an estimate of the difference of two scores is off, where a student's samples are.
//!
//! All fields are in units of the data, as `sigma^2 (s_data - s_student) = D_data - D_student`: relative errors at one
//! noise level are the same in any unit.

use super::mixture::{BUMPS, Drawn, Mixture};
use super::training::{Trained, answer};
use serde::{Deserialize, Serialize};

use crate::exec::{Executor, RunArgs};
use crate::graph::Graph;
use crate::graph::reference::{Feed, evaluate};
use crate::nets::Params;
use crate::plan::{Program, SLOT_ALIGN};
use crate::random::{normal, threefry2x32};
use crate::train::{Divergence, TrainError};

const X: &str = "probe.x";
const FIELD: &str = "probe.field";
const LOGIT: &str = "probe.logit";
const NET: &str = "probe.net";

/// Noised samples of a student at several noise levels, with what is exact there.
pub struct Probe {
    /// Noise levels.
    pub levels: Vec<f32>,
    dim: usize,
    drawn: Drawn,
    /// By level, `[n, dim]` each.
    points: Vec<Vec<f32>>,
    /// By level: what the exact denoisers of data and of samples make of the points.
    exact: [Vec<Vec<f32>>; 2],
    /// By level: the exact log density ratio of data to samples at the points, `[n]` each.
    log_ratios: Vec<Vec<f32>>,
    /// By level: the mean of the log density ratio of samples to data, a Kullback-Leibler divergence.
    pub divergence: Vec<f64>,
}

/// What a network says at the points of a [`Probe`], or what is exact there, by level.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// `D(x)`, or `sigma^2 grad l(x)`: `[n, dim]` each.
    pub fields: Vec<Vec<f32>>,
    /// The log density ratio `l`, `[n]` each; of denoisers there are none.
    pub logits: Vec<Vec<f32>>,
}

/// The gradient of a generator.
#[derive(Clone, Debug)]
pub struct Slope {
    /// By means and deviations `[2, BUMPS, dim]`, mean over samples and levels.
    pub mean: Vec<f64>,
    /// The variance of one sample's gradient in parts of the square of the mean's length: as many samples make a batch whose
    /// gradient is as much noise as signal (the "simple noise scale" of arXiv 1812.06162). `None` where the points are too
    /// few to tell.
    pub noise: Option<f64>,
}

/// How a vector, such as the gradient of a generator, differs from the exact one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gradient {
    /// Cosine of the angle to the exact one.
    pub cosine: f64,
    /// Its length, relative to that of the exact one.
    pub norm: f64,
    /// The square of the length of what is wrong, relative to that of the exact one.
    pub error: f64,
}

impl Probe {
    /// `n` noised samples at each of these levels.
    pub fn new(data: &Mixture, student: &Mixture, levels: &[f32], n: usize, seed: u32) -> Self {
        Self::at(student.draw(n, seed), data, student, levels, seed)
    }

    /// The same at these points with noise.
    pub fn at(drawn: Drawn, data: &Mixture, student: &Mixture, levels: &[f32], seed: u32) -> Self {
        let (dim, n) = (student.dim(), drawn.bumps.len());
        let mut probe = Self {
            levels: levels.to_vec(),
            dim,
            points: Vec::new(),
            exact: [Vec::new(), Vec::new()],
            log_ratios: Vec::new(),
            divergence: Vec::new(),
            drawn,
        };
        for (number, sigma) in levels.iter().enumerate() {
            let noise = |i: usize| normal(threefry2x32([seed, number as u32], [i as u32, 2]))[0];
            let points: Vec<f32> = probe
                .drawn
                .points
                .iter()
                .enumerate()
                .map(|(i, x)| (x + f64::from(*sigma) * f64::from(noise(i))) as f32)
                .collect();
            let wide: Vec<f64> = points.iter().map(|x| f64::from(*x)).collect();
            let sigma = f64::from(*sigma);
            for (fields, mixture) in probe.exact.iter_mut().zip([data, student]) {
                fields.push(wide.chunks(dim).flat_map(|x| mixture.denoise(x, sigma)).map(|x| x as f32).collect());
            }
            let ratio = |x| data.log_density(x, sigma) - student.log_density(x, sigma);
            let ratios: Vec<f64> = wide.chunks(dim).map(ratio).collect();
            probe.divergence.push(-ratios.iter().sum::<f64>() / n as f64);
            probe.log_ratios.push(ratios.into_iter().map(|l| l as f32).collect());
            probe.points.push(points);
        }
        probe
    }

    /// What the exact denoisers of data and of samples make of the points of a level.
    pub fn denoised(&self, level: usize) -> [&[f32]; 2] {
        self.exact.each_ref().map(|fields| &fields[level][..])
    }

    /// The exact difference `[n, dim]` at each level.
    pub fn exact(&self) -> Vec<Vec<f32>> {
        difference(&self.exact[0], &self.exact[1])
    }

    /// The same, and the exact log density ratio, as a ratio network would say it.
    pub fn truth(&self) -> Answer {
        Answer { fields: self.exact(), logits: self.log_ratios.clone() }
    }

    /// What a trained network says at the points of each level.
    pub fn ask(&self, mut executor: Executor, trained: &Trained) -> Result<Answer, TrainError> {
        let len = self.drawn.points.len();
        let n = len / self.dim;
        let graph = Graph::new();
        let x = graph.input(X, 0, &[n, self.dim]);
        let sigma = graph.scalar("sigma").reshape(&[1]);
        let (field, logit) = answer(trained.kind, &trained.network, &Params::new(&graph, NET), x, sigma);
        let program = Program::new("probe", &graph).output(field, FIELD, 0);
        let plan = match logit {
            Some(logit) => program.output(logit, LOGIT, 0),
            None => program,
        }
        .build()?;
        for (store, len) in [(X, len), (FIELD, len), (LOGIT, n), (NET, trained.weights.len())] {
            executor.create_store(store, len.next_multiple_of(SLOT_ALIGN))?;
        }
        executor.write(NET, 0, &trained.weights)?;
        let plan = executor.prepare(&plan)?;
        let mut answer = Answer::default();
        for (points, sigma) in self.points.iter().zip(&self.levels) {
            executor.write(X, 0, points)?;
            executor.run(plan, &RunArgs { scalars: &[*sigma], seed: 0, step: 0 })?;
            answer.fields.push(pollster::block_on(executor.read(FIELD, 0, len))?);
            if logit.is_some() {
                answer.logits.push(pollster::block_on(executor.read(LOGIT, 0, n))?);
            }
        }
        Ok(answer)
    }

    /// The generator's gradient of a divergence by an [`Answer`] at all levels together, as the chain rule gives it to
    /// [`Probe::pull`]: each sample's field is weighted by [`Divergence::weight`], and each level divided by its root mean
    /// square, as `diffratio` does. A level at which no sample has weight adds nothing.
    pub fn slope(&self, divergence: Divergence, answer: &Answer) -> Slope {
        let weighted = |(field, logits): (&Vec<f32>, &Vec<f32>)| {
            let pulls = field.chunks(self.dim).zip(weights(divergence, logits));
            let field: Vec<f64> = pulls.flat_map(|(pull, h)| pull.iter().map(move |x| h * f64::from(*x))).collect();
            let size = (field.iter().map(|x| x * x).sum::<f64>() / field.len() as f64).sqrt();
            field.into_iter().map(|x| if size > 0.0 { (x / size) as f32 } else { 0.0 }).collect()
        };
        let levels: Vec<Vec<f32>> = answer.fields.iter().zip(&answer.logits).map(weighted).collect();
        let mut mean = vec![0.0; 2 * BUMPS * self.dim];
        for field in &levels {
            mean.iter_mut().zip(self.pull(field)).for_each(|(sum, slope)| *sum += slope);
        }
        // A number of a field moves a mean by itself, and a deviation by its latent.
        let (mut squares, mut of_points) = (0.0, 0.0);
        for (i, z) in self.drawn.latents.iter().enumerate() {
            let reach = 1.0 + z * z;
            let of_levels = levels.iter().map(|field| f64::from(field[i]));
            squares += reach * of_levels.clone().map(|x| x * x).sum::<f64>();
            of_points += reach * of_levels.sum::<f64>().powi(2);
        }
        let (n, levels) = (self.drawn.bumps.len() as f64, levels.len() as f64);
        for sum in &mut mean {
            *sum /= n * levels;
        }
        // Products of different points alone: their noise is independent, and drops out.
        let whole: f64 = mean.iter().map(|x| x * x).sum();
        let signal = (whole * n - of_points / (n * levels * levels)) / (n - 1.0);
        Slope { noise: (signal > 0.0).then(|| squares / (n * levels * signal) - 1.0), mean }
    }

    /// The chain rule: the slope by means and deviations `[2, BUMPS, dim]` of the generator `mean_k + deviation_k z` that
    /// a field `[n, dim]` at its noised samples gives.
    pub fn pull(&self, field: &[f32]) -> Vec<f64> {
        let mut slopes = vec![0.0; 2 * BUMPS * self.dim];
        for (i, (pull, z)) in field.iter().zip(&self.drawn.latents).enumerate() {
            let at = self.drawn.bumps[i / self.dim] * self.dim + i % self.dim;
            slopes[at] += f64::from(*pull);
            slopes[BUMPS * self.dim + at] += f64::from(*pull) * z;
        }
        slopes
    }
}

/// [`Divergence::weight`] of log density ratios.
fn weights(divergence: Divergence, log_ratios: &[f32]) -> Vec<f64> {
    let graph = Graph::new();
    let weight = divergence.weight(graph.input("l", 0, &[log_ratios.len()]));
    let values = log_ratios.iter().map(|l| f64::from(*l)).collect();
    let feed = Feed { stores: [("l".to_owned(), values)].into(), ..Feed::default() };
    evaluate(&graph, &feed, &[weight]).remove(0)
}

/// `a - b` by level.
pub fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<Vec<f32>> {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect()).collect()
}

impl Gradient {
    /// A gradient against the exact one.
    pub fn of(got: &[f64], exact: &[f64]) -> Self {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (along, size, wanted) = (dot(got, exact), dot(got, got), dot(exact, exact));
        Self {
            cosine: along / (size * wanted).sqrt(),
            norm: (size / wanted).sqrt(),
            error: (size - 2.0 * along + wanted) / wanted,
        }
    }
}

/// What errors of several trainings have in common: the square of their mean, without the share that their spread has in
/// it. Of independent errors it is 0 on average.
#[derive(Clone, Debug, Default)]
pub struct Bias {
    sum: Vec<f64>,
    squares: f64,
    count: usize,
}

impl Bias {
    /// Adds the error of a training.
    pub fn add(&mut self, error: impl Iterator<Item = f64>) {
        self.count += 1;
        for (i, x) in error.enumerate() {
            if self.count == 1 {
                self.sum.push(0.0);
            }
            self.sum[i] += x;
            self.squares += x * x;
        }
    }

    /// The square of what they have in common: the mean product of the errors of two different trainings. `None` with less
    /// than two.
    pub fn square(&self) -> Option<f64> {
        let pairs = (self.count * self.count.checked_sub(1)?) as f64;
        let of_sum: f64 = self.sum.iter().map(|x| x * x).sum();
        (pairs > 0.0).then(|| (of_sum - self.squares) / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Distance;
    use super::*;

    fn numbers(field: &[f32]) -> Vec<f64> {
        field.iter().map(|x| f64::from(*x)).collect()
    }

    #[test]
    fn the_chain_rule_gives_the_slope_of_the_mean_log_ratio() {
        // By finite differences: bumps of the student are moved while its latents, its noise and the two densities stay.
        const STEP: f64 = 1e-4;
        let (dim, sigma, n) = (2, 0.3, 64);
        let data = Mixture::data(dim, 1);
        let student = data.moved(Distance::Medium, 1);
        let probe = Probe::new(&data, &student, &[sigma], n, 5);
        let pull = probe.pull(&probe.exact()[0]);
        let sum_with = |at: usize, by: f64| -> f64 {
            let moved = |(i, x): (usize, &f32)| {
                let own = probe.drawn.bumps[i / dim] * dim + i % dim;
                let slope = if at < BUMPS * dim { 1.0 } else { probe.drawn.latents[i] };
                f64::from(*x) + if own == at % (BUMPS * dim) { by * slope } else { 0.0 }
            };
            let points: Vec<f64> = probe.points[0].iter().enumerate().map(moved).collect();
            let sigma = f64::from(sigma);
            points.chunks(dim).map(|x| data.log_density(x, sigma) - student.log_density(x, sigma)).sum()
        };
        for (at, got) in pull.iter().enumerate() {
            let slope = (sum_with(at, STEP) - sum_with(at, -STEP)) / (2.0 * STEP);
            let wanted = slope * f64::from(sigma).powi(2);
            // Points and fields are rounded to 32 bits; measured at most 3e-6.
            assert!((got - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{at}: {got}, not {wanted}");
        }
    }

    #[test]
    fn a_student_that_is_the_data_has_no_divergence_and_no_pull() {
        let data = Mixture::data(8, 1);
        let probe = Probe::new(&data, &data, &[0.1, 1.0], 16, 1);
        assert_eq!(probe.divergence, [0.0, 0.0]);
        assert!(probe.exact().concat().iter().all(|x| *x == 0.0));
        let moved = data.moved(Distance::Near, 1);
        let [near, far] = [Distance::Near, Distance::Far]
            .map(|distance| Probe::new(&data, &data.moved(distance, 1), &[0.1], 2048, 1).divergence[0]);
        assert!(0.0 < near && 10.0 * near < far && moved != data, "{near} {far}");
    }

    #[test]
    fn the_noise_of_a_gradient_is_its_variance_in_parts_of_its_square() {
        // The same pull everywhere: a sample moves its own bump's mean by 1 and its deviation by its latent, along each
        // axis. So its square is 2 on average, that of the mean over bumps 1/8, and the rest is noise.
        let data = Mixture::data(2, 1);
        let probe = Probe::new(&data, &data, &[0.1, 1.0], 20_000, 1);
        let n = probe.drawn.bumps.len();
        let answer = Answer { fields: vec![vec![3.0; 2 * n]; 2], logits: vec![vec![0.5; n]; 2] };
        for &divergence in Divergence::ALL {
            let slope = probe.slope(divergence, &answer);
            let noise = slope.noise.unwrap();
            assert!((noise - 15.0).abs() < 0.5, "{divergence}: {noise}");
            let own: f64 = slope.mean[..2 * BUMPS].iter().sum();
            assert!((own - 2.0).abs() < 1e-6, "{divergence}: pulls of one sum up to {own}");
        }
        // Where only a hundredth of the samples count, it takes about a hundred times as many.
        let logits = (0..n).map(|i| if i % 100 == 0 { 0.0 } else { -30.0 }).collect();
        let rare = Answer { fields: vec![vec![1.0; 2 * n]], logits: vec![logits] };
        let noise = probe.slope(Divergence::Js, &rare).noise.unwrap();
        assert!((1200.0..2000.0).contains(&noise), "{noise}");
        let none = Answer { fields: vec![vec![1.0; 2 * n]], logits: vec![vec![-1e4; n]] };
        assert!(probe.slope(Divergence::Js, &none).noise.is_none());
    }

    #[test]
    fn errors_that_all_trainings_make_are_bias_and_others_are_not() {
        let bias = |errors: &[[f64; 2]]| {
            let mut bias = Bias::default();
            for error in errors {
                bias.add(error.iter().copied());
            }
            bias.square()
        };
        assert_eq!(bias(&[[3.0, 4.0]]), None);
        assert_eq!(bias(&[[3.0, 4.0]; 5]), Some(25.0));
        assert_eq!(bias(&[[3.0, 1.0], [3.0, -1.0]]), Some(8.0));
        assert_eq!(bias(&[[1.0, 0.0], [0.0, 1.0]]), Some(0.0));
    }

    #[test]
    fn gradients_are_compared_by_angle_length_and_what_is_wrong() {
        let exact = numbers(&[3.0, 4.0]);
        let got = Gradient::of(&[4.0, 3.0], &exact);
        assert!(
            (got.cosine - 0.96).abs() < 1e-12 && (got.norm - 1.0).abs() < 1e-12 && (got.error - 0.08).abs() < 1e-12
        );
        let twice = Gradient::of(&[6.0, 8.0], &exact);
        assert!(
            (twice.cosine - 1.0).abs() < 1e-12 && (twice.norm - 2.0).abs() < 1e-12 && (twice.error - 1.0).abs() < 1e-12
        );
    }
}
