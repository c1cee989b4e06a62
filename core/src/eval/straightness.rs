//! How far the paths of a flow are from straight lines.

use super::{EvalError, all_finite, at_least};

/// `S = 1/T int_0^T E |(y_T - y_0) / T - dy/dt|^2 dt` (Liu et al. 2022, arXiv 2209.03003, where T is 1) of paths
/// `y(t) [n, width]`, the square being the sum over the width: 0 if every path is a straight line that is gone along at one
/// speed, so that one step of Euler's method is exact.
///
/// Paths are given as samplers have them: `states[i]` is `x = x0 + sigma eps` at the level `sigmas[i]`, which fall to 0.
/// The flow's time is `t = sigma / (1 + sigma)` and its state `y = (1 - t) x`; between two levels its velocity is that of
/// the chord, as it is in a step of Euler's method.
///
/// # Errors
/// If there are less than three levels, or states do not fit to levels and width.
pub fn straightness(states: &[Vec<f32>], sigmas: &[f32], width: usize) -> Result<f64, EvalError> {
    let what = "states of a path";
    at_least(what, 3, states.len())?;
    let len = states[0].len();
    at_least("numbers of a state", width.max(1), len)?;
    for (wanted, got) in [(states.len(), sigmas.len())].into_iter().chain(states.iter().map(|x| (len, x.len()))) {
        if wanted != got {
            return Err(EvalError::Length { what: what.to_owned(), wanted, got });
        }
    }
    all_finite(what, states.iter().flatten().map(|x| f64::from(*x)))?;
    let times: Vec<f64> = sigmas.iter().map(|sigma| f64::from(*sigma) / (1.0 + f64::from(*sigma))).collect();
    let flow = |i: usize, k: usize| (1.0 - times[i]) * f64::from(states[i][k]);
    let last = states.len() - 1;
    let whole = times[0] - times[last];
    let mut sum = 0.0;
    for k in 0..len {
        let mean = (flow(0, k) - flow(last, k)) / whole;
        for i in 0..last {
            let time = times[i] - times[i + 1];
            sum += time / whole * (mean - (flow(i, k) - flow(i + 1, k)) / time).powi(2);
        }
    }
    Ok(sum / (len / width) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;
    use crate::nets::Draw;

    /// Levels evenly spaced in time, down to 0.
    fn levels(steps: usize, highest: f32) -> Vec<f32> {
        Draw::euler(steps, highest).sigmas.into_iter().chain([0.0]).collect()
    }

    /// The path of Gaussian data of deviation d is `x = sqrt(d^2 + sigma^2) z`. From `t = 1` on, where y is z, the velocity
    /// is `s'(t) z` with `s^2 = (1 - t)^2 d^2 + t^2`, so that `S = int s'^2 dt - (1 - d)^2`. As
    /// `s'^2 = 1 + d^2 - d^2 / s^2`, and the integral of `1 / s^2` is `pi / (2 d)`, that is `d (2 - pi / 2)` per number.
    #[test]
    fn of_a_gaussians_flow_it_is_known() {
        let z = normals(1, 20_000);
        let square = z.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / z.len() as f64;
        for deviation in [0.25_f32, 0.5, 1.0] {
            let sigmas = levels(256, 1e4);
            let state = |sigma: &f32| {
                let s = (deviation * deviation + sigma * sigma).sqrt();
                z.iter().map(|z| s * z).collect::<Vec<f32>>()
            };
            let states: Vec<Vec<f32>> = sigmas.iter().map(state).collect();
            for width in [1, 2] {
                let wanted = width as f64 * f64::from(deviation) * (2.0 - std::f64::consts::FRAC_PI_2) * square;
                assert_near(straightness(&states, &sigmas, width).unwrap(), wanted, 2e-3 * wanted, "a Gaussian's");
            }
        }
    }

    /// What reflow makes of it: lines from z to `mean + d z`.
    #[test]
    fn of_straight_lines_it_is_nothing() {
        let z = normals(2, 100);
        let sigmas = levels(10, 20.0);
        let state = |sigma: &f32| z.iter().map(|z| 0.25 + 0.5 * z + sigma * z).collect::<Vec<f32>>();
        let mut states: Vec<Vec<f32>> = sigmas.iter().map(state).collect();
        assert!(straightness(&states, &sigmas, 2).unwrap() < 1e-10);
        states[5][3] += 0.1;
        assert!(straightness(&states, &sigmas, 2).unwrap() > 1e-5);
    }

    #[test]
    fn what_is_no_path_is_an_error() {
        let path = |len: usize| vec![vec![0.5_f32; len]; 3];
        assert!(straightness(&path(4)[..2], &[1.0, 0.0], 2).is_err());
        assert!(straightness(&path(4), &[1.0, 0.0], 2).is_err());
        assert!(straightness(&path(1), &[1.0, 0.5, 0.0], 2).is_err());
        let mut broken = path(4);
        broken[1][2] = f32::NAN;
        assert!(straightness(&broken, &[1.0, 0.5, 0.0], 2).is_err());
    }
}
