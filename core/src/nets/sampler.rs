//! The deterministic sampler with many evaluations: the baseline of a one-step generator.
//!
//! Karras et al. 2022, algorithm 1 with the schedule of equation 5. The host walks through the
//! noise levels; one step is a graph in which both levels are inputs, so one plan serves all.

use super::edm::per_sample;
use crate::graph::Var;

/// Noise levels from `sigma_max` to `sigma_min` in `steps` values, evenly spaced after the power
/// `1 / rho` (equation 5; rho is 7), and 0 at the end: `steps + 1` numbers.
pub fn karras_sigmas(steps: usize, sigma_min: f32, sigma_max: f32, rho: f32) -> Vec<f32> {
    // x^p is exp(p ln x): one function less that a browser has to download.
    let power = |x: f64, p: f64| (p * x.ln()).exp();
    let [lo, hi] = [sigma_min, sigma_max].map(|sigma| power(f64::from(sigma), 1.0 / f64::from(rho)));
    let level = |i: usize| power(hi + i as f64 / (steps.max(2) - 1) as f64 * (lo - hi), f64::from(rho)) as f32;
    (0..steps).map(level).chain([0.0]).collect()
}

/// One step of Heun's method from `sigma` to `next`, one number each or one per sample, `next` above 0: two evaluations.
pub fn heun_step<'g>(
    denoiser: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    x: Var<'g>,
    sigma: Var<'g>,
    next: Var<'g>,
) -> Var<'g> {
    let (sigma, next) = (sigma.reshape(&[sigma.len()]), next.reshape(&[next.len()]));
    let (s, n) = (per_sample(sigma, x.rank()), per_sample(next, x.rank()));
    let slope = (x - denoiser(x, sigma)) / s;
    let guess = x + (n - s) * slope;
    let corrected = (guess - denoiser(guess, next)) / n;
    x + (n - s) * (slope + corrected) * 0.5
}

/// One step of Euler's method, levels as above: one evaluation.
pub fn euler_step<'g>(
    denoiser: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    x: Var<'g>,
    sigma: Var<'g>,
    next: Var<'g>,
) -> Var<'g> {
    let clean = denoiser(x, sigma.reshape(&[sigma.len()]));
    clean + per_sample(next / sigma, x.rank()) * (x - clean)
}

/// The last step, from `sigma` (one number) to 0. Euler's method gives the denoiser's output.
pub fn last_step<'g>(denoiser: impl Fn(Var<'g>, Var<'g>) -> Var<'g>, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    denoiser(x, sigma.reshape(&[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::edm::denoise;
    use crate::nets::testing::{assert_close, feed, values};

    #[test]
    fn schedule_has_its_end_points_and_falls() {
        let sigmas = karras_sigmas(18, 0.002, 80.0, 7.0);
        assert_eq!(sigmas.len(), 19);
        assert!((sigmas[0] - 80.0).abs() < 1e-4 && (sigmas[17] - 0.002).abs() < 1e-7 && sigmas[18] == 0.0);
        assert!(sigmas.windows(2).all(|w| w[1] < w[0]));
        // The second level, from equation 5 by hand.
        assert!((sigmas[1] - 57.586).abs() < 1e-2, "{}", sigmas[1]);
        assert_eq!(karras_sigmas(1, 0.002, 80.0, 7.0), [sigmas[0], 0.0]);
    }

    /// For Gaussian data the exact denoiser is `c_skip x`, and the exact path is
    /// `x(sigma) = x(80) sqrt((sigma^2 + sd^2) / (80^2 + sd^2))`.
    #[test]
    fn error_on_gaussian_data_is_of_second_order() {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[5, 2]);
        let (sigma, next) = (graph.input("sigma", 0, &[]), graph.input("next", 0, &[]));
        let step = heun_step(|x, s| denoise(|x, _| x - x, x, s), x, sigma, next);
        let last = last_step(|x, s| denoise(|x, _| x - x, x, s), x, sigma);
        let start: Vec<f64> = values(1, 10).iter().map(|v| v * 160.0).collect();
        let ratio_to_exact = |steps| {
            let mut state = start.clone();
            for pair in karras_sigmas(steps, 0.002, 80.0, 7.0).windows(2) {
                let (s, n) = (f64::from(pair[0]), f64::from(pair[1]));
                let feed = feed(&[("x", &state), ("sigma", &[s]), ("next", &[n])]);
                state = evaluate(&graph, &feed, &[if n > 0.0 { step } else { last }]).remove(0);
            }
            let factor = 0.5 / (80.0f64 * 80.0 + 0.25).sqrt();
            let ratios: Vec<f64> = state.iter().zip(&start).map(|(x, x0)| x / (x0 * factor)).collect();
            assert_close(&ratios, &[ratios[0]; 10], 1e-9); // the path is linear in its start
            ratios[0]
        };
        let errors = [18, 36, 72].map(|steps| (ratio_to_exact(steps) - 1.0).abs());
        assert!(errors[0] < 0.06, "{errors:?}");
        assert!(errors[1] < errors[0] / 3.9 && errors[2] < errors[1] / 3.9, "{errors:?}");
    }
}
