//! Densities in closed form: bumps on a circle, a board, twisted blades, rings.

use std::f64::consts::{FRAC_PI_4, TAU};

use super::{Draws, log_gaussian, log_sum_exp};

// Bumps. Variance along an axis is RADIUS^2 / 2 + BUMP^2 = 0.25; neighbours are 7.6
// standard deviations apart, so the modes are separate.
const RADIUS: f64 = 0.7;
const BUMP: f64 = 0.070_710_678_118_654_75;

pub(super) fn gaussian_centres() -> [[f64; 2]; 8] {
    std::array::from_fn(|k| {
        let (sin, cos) = (k as f64 * FRAC_PI_4).sin_cos();
        [RADIUS * cos, RADIUS * sin]
    })
}

pub(super) fn draw_gaussians(draws: &Draws) -> ([f64; 2], u32) {
    let bump = Draws::choice(draws.bits(0)[0], 8);
    let centre = gaussian_centres()[bump as usize];
    let noise = draws.normals(1);
    ([0, 1].map(|axis| centre[axis] + BUMP * noise[axis]), bump)
}

pub(super) fn log_gaussians(x: [f64; 2]) -> f64 {
    let centres = gaussian_centres();
    let terms = centres.iter().map(|c| {
        let (a, b) = (x[0] - c[0], x[1] - c[1]);
        log_gaussian(a * a + b * b, BUMP)
    });
    log_sum_exp(terms) - 8f64.ln()
}

// Board from -EDGE to EDGE. Each column is filled to the same part, so a coordinate is
// uniform, with variance EDGE^2 / 3 = 0.25.
const EDGE: f64 = 0.866_025_403_784_438_6;
const FIELD: f64 = EDGE / 2.0;

/// Column and row of the filled field `k`: those whose sum is even.
fn field(k: u32) -> [f64; 2] {
    let column = k / 2;
    [f64::from(column), f64::from(2 * (k % 2) + column % 2)]
}

pub(super) fn field_centres() -> [[f64; 2]; 8] {
    std::array::from_fn(|k| field(k as u32).map(|v| (v + 0.5) * FIELD - EDGE))
}

pub(super) fn draw_checkerboard(draws: &Draws) -> ([f64; 2], u32) {
    let number = Draws::choice(draws.bits(0)[0], 8);
    let corner = field(number);
    let within = draws.bits(1);
    let point = [0, 1].map(|axis| {
        // A millionth off each side: rounding to f32 must not cross into an empty field.
        let u = 0.5 + (Draws::uniform(within[axis]) - 0.5) * (1.0 - 2e-6);
        (corner[axis] + u) * FIELD - EDGE
    });
    (point, number)
}

pub(super) fn log_checkerboard(x: [f64; 2]) -> f64 {
    let [column, row] = x.map(|v| ((v + EDGE) / FIELD).floor());
    let on_board = |v: f64| (0.0..4.0).contains(&v);
    if on_board(column) && on_board(row) && (column + row) % 2.0 == 0.0 {
        -(2.0 * EDGE * EDGE).ln()
    } else {
        f64::NEG_INFINITY
    }
}

// Blades: a Gaussian around (1, 0), long in x and narrow in y, turned to one of five
// directions and twisted by an angle that grows with the distance from the centre (after
// the pinwheel of Johnson et al. 2016). A twist by the distance keeps areas, so the
// density is that of the Gaussian at the point turned back. E|x|^2 = 1 + LONG^2 +
// NARROW^2 fixes the scale.
pub(super) const BLADES: usize = 5;
const LONG: f64 = 0.3;
const NARROW: f64 = 0.1;
const SCALE: f64 = 0.674_199_862_463_242; // sqrt(0.5 / (1 + 0.09 + 0.01))

fn blade_angle(blade: usize, distance: f64) -> f64 {
    // No more twist from 4 on, ten standard deviations out: the exponential would overflow.
    TAU * blade as f64 / BLADES as f64 + 0.25 * distance.min(4.0).exp()
}

fn turn([x, y]: [f64; 2], angle: f64) -> [f64; 2] {
    let (sin, cos) = angle.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

pub(super) fn blade_centres() -> [[f64; 2]; BLADES] {
    std::array::from_fn(|k| turn([SCALE, 0.0], blade_angle(k, 1.0)))
}

pub(super) fn draw_pinwheel(draws: &Draws) -> ([f64; 2], u32) {
    let blade = Draws::choice(draws.bits(0)[0], BLADES as u32);
    let [a, b] = draws.normals(1);
    let flat = [1.0 + LONG * a, NARROW * b];
    (turn(flat, blade_angle(blade as usize, flat[0].hypot(flat[1]))).map(|v| v * SCALE), blade)
}

/// Logarithm of each blade's Gaussian at `x`, but for its norm.
fn log_blades(x: [f64; 2]) -> impl Iterator<Item = f64> + Clone {
    let x = x.map(|v| v / SCALE);
    let distance = x[0].hypot(x[1]);
    (0..BLADES).map(move |blade| {
        let flat = turn(x, -blade_angle(blade, distance));
        let (a, b) = ((flat[0] - 1.0) / LONG, flat[1] / NARROW);
        -0.5 * (a * a + b * b)
    })
}

/// The blade that is likeliest at `x`.
pub(super) fn nearest_blade(x: [f64; 2]) -> u32 {
    let likeliest = log_blades(x).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    likeliest.map_or(0, |(blade, _)| blade as u32)
}

pub(super) fn log_pinwheel(x: [f64; 2]) -> f64 {
    log_sum_exp(log_blades(x)) - (BLADES as f64 * TAU * LONG * NARROW * SCALE * SCALE).ln()
}

// Rings of radius 1, 2, 3 times INNER with weights 1, 2, 3 sixths (evenly along the
// line), plus noise: variance along an axis is 3 INNER^2 + RING^2 = 0.25.
const RING: f64 = 0.04;
const INNER: f64 = 0.287_749_891_398_763_2;

pub(super) fn draw_rings(draws: &Draws) -> ([f64; 2], u32) {
    let [which, angle] = draws.bits(0);
    let ring = match Draws::choice(which, 6) {
        0 => 0,
        1 | 2 => 1,
        _ => 2,
    };
    let on = turn([f64::from(ring + 1) * INNER, 0.0], TAU * Draws::uniform(angle));
    let noise = draws.normals(1);
    ([0, 1].map(|axis| on[axis] + RING * noise[axis]), ring)
}

/// The ring that is nearest to `x`.
pub(super) fn nearest_ring(x: [f64; 2]) -> u32 {
    (x[0].hypot(x[1]) / INNER - 1.0).round().clamp(0.0, 2.0) as u32
}

pub(super) fn log_rings(x: [f64; 2]) -> f64 {
    let distance = x[0].hypot(x[1]);
    let terms = (1..=3).map(|k| {
        let radius = f64::from(k) * INNER;
        let gap = distance - radius;
        // The angle integrates to a Bessel function; its exponential growth is taken
        // into the Gaussian of the distance to the ring.
        (f64::from(k) / 6.0).ln()
            + log_gaussian(gap * gap, RING)
            + scaled_bessel(distance * radius / (RING * RING)).ln()
    });
    log_sum_exp(terms)
}

/// Coefficients in (x / 3.75)^2 of I0 for x up to 3.75 (Abramowitz and Stegun 9.8.1).
const SMALL: [f64; 7] = [1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813];
/// Coefficients in 3.75 / x of sqrt(x) exp(-x) I0 beyond (the same, 9.8.2).
const LARGE: [f64; 9] =
    [0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377];

/// exp(-x) I0(x) for x >= 0, to 1e-6 of its value.
pub(super) fn scaled_bessel(x: f64) -> f64 {
    let polynomial = |coefficients: &[f64], t: f64| {
        let terms = coefficients.iter().rev();
        terms.fold(0.0, |sum, &c| sum * t + c)
    };
    if x <= 3.75 {
        polynomial(&SMALL, (x / 3.75).powi(2)) * (-x).exp()
    } else {
        polynomial(&LARGE, 3.75 / x) / x.sqrt()
    }
}
