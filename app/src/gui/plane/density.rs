//! Where points are on the square: what a method shows elsewhere was never trained, and means nothing.

/// Points in a cell from which on it counts in full.
const FULL: f32 = 1.0;
/// Least spread of a point, in cells: it is somewhere in its own.
const LEAST: f32 = 0.7;

/// How much of what is shown at each of `side x side` cells is to be believed, 0 to 1: the share of [`FULL`] that these
/// points, `x, y, x, y, ..`, would put there with noise of level `sigma`. Rows go upwards.
pub fn support(points: [&[f32]; 2], side: usize, half_width: f32, sigma: f32) -> Vec<f32> {
    let mut counts = vec![0.0_f32; side * side];
    let cell = |x: f32| {
        let at = f32::midpoint(x / half_width, 1.0) * side as f32;
        (0.0..side as f32).contains(&at).then_some(at as usize)
    };
    for [x, y] in points.into_iter().flat_map(|values| values.as_chunks().0) {
        if let (Some(column), Some(row)) = (cell(*x), cell(*y)) {
            counts[row * side + column] += 1.0;
        }
    }
    let kernel = bell((sigma / (2.0 * half_width) * side as f32).max(LEAST), side);
    let spread = |values: &[f32], step: usize, across: usize| {
        let mut out = vec![0.0; values.len()];
        for line in 0..side {
            for i in 0..side {
                out[line * across + i * step] =
                    (0..side).map(|j| kernel[i.abs_diff(j)] * values[line * across + j * step]).sum();
            }
        }
        out
    };
    spread(&spread(&counts, 1, side), side, 1).into_iter().map(|count| (count / FULL).min(1.0)).collect()
}

/// A normal density at whole distances up to `side`, which sums to 1 over both sides.
fn bell(deviation: f32, side: usize) -> Vec<f32> {
    let half: Vec<f32> = (0..side).map(|i| (-0.5 * (i as f32 / deviation).powi(2)).exp()).collect();
    let sum = 2.0 * half.iter().sum::<f32>() - half[0];
    half.into_iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_spreads_what_is_known_and_far_corners_are_unknown() {
        let points: Vec<f32> = [0.5, -0.5].repeat(1000);
        let at = |sigma: f32, x: f32, y: f32| {
            let side = 32;
            let cell = |v: f32| (f32::midpoint(v, 1.0) * side as f32) as usize;
            support([&points, &[]], side, 1.0, sigma)[cell(y) * side + cell(x)]
        };
        assert_eq!((at(0.05, 0.5, -0.5), at(0.05, -0.9, 0.9)), (1.0, 0.0));
        assert!(at(0.05, 0.5, 0.5) < 1e-3 && at(0.5, 0.5, 0.5) > 0.3, "{} {}", at(0.05, 0.5, 0.5), at(0.5, 0.5, 0.5));
        assert!(support([&[f32::NAN, 0.0], &[7.0, 0.0]], 4, 1.0, 0.1).iter().all(|share| *share == 0.0));
    }

    #[test]
    fn nothing_is_lost_within_the_square() {
        let bell = bell(1.5, 32);
        let sum = 2.0 * bell.iter().sum::<f32>() - bell[0];
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}
