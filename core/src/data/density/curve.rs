//! Densities along curves: a point of the curve plus Gaussian noise.
//!
//! The density is the integral of the noise over the curve's parameter, by the midpoint
//! rule. The nodes lie closer together than a quarter of the noise, where the rule is
//! exact to about 1e-3 at the ends of a curve and far better elsewhere.

use std::f64::consts::PI;
use std::sync::OnceLock;

use super::{Draws, log_gaussian, nearest};

/// Standard deviation along each axis, `sigma_data`.
const STD: f64 = 0.5;
/// Points of the midpoint rule.
const NODES: usize = 1024;

/// A curve, scaled and shifted, and the noise around it.
pub(super) struct Curve {
    raw: fn(f64) -> [f64; 2],
    noise: f64,
    mean: [f64; 2],
    scale: [f64; 2],
    nodes: Vec<[f64; 2]>,
}

/// Two interlocking half circles (the moons of scikit-learn), noise 0.05.
pub(super) fn two_moons() -> &'static Curve {
    static CURVE: OnceLock<Curve> = OnceLock::new();
    CURVE.get_or_init(|| {
        Curve::new(
            |u| {
                let t = PI * (2.0 * u).fract();
                if u < 0.5 { [t.cos(), t.sin()] } else { [1.0 - t.cos(), 0.5 - t.sin()] }
            },
            0.05,
        )
    })
}

/// An Archimedean spiral from 1.5 pi to 4.5 pi, even in its angle; noise 0.04, a tenth
/// of the distance between turns.
pub(super) fn swiss_roll() -> &'static Curve {
    static CURVE: OnceLock<Curve> = OnceLock::new();
    CURVE.get_or_init(|| {
        Curve::new(
            |u| {
                let t = 1.5 * PI * (1.0 + 2.0 * u);
                [t * t.cos(), t * t.sin()]
            },
            0.04,
        )
    })
}

impl Curve {
    /// `raw` over [0, 1), brought to mean 0 and, with the noise, to standard deviation
    /// 0.5 along each axis.
    fn new(raw: fn(f64) -> [f64; 2], noise: f64) -> Self {
        let plain: Vec<[f64; 2]> = (0..NODES).map(|k| raw((k as f64 + 0.5) / NODES as f64)).collect();
        let average = |f: &dyn Fn(&[f64; 2]) -> f64| -> f64 { plain.iter().map(f).sum::<f64>() / NODES as f64 };
        let mean = [0, 1].map(|axis| average(&|p| p[axis]));
        let scale = [0, 1].map(|axis| {
            let variance = average(&|p| (p[axis] - mean[axis]).powi(2));
            ((STD * STD - noise * noise) / variance).sqrt()
        });
        let mut curve = Self { raw, noise, mean, scale, nodes: Vec::new() };
        curve.nodes = plain.iter().map(|&p| curve.place(p)).collect();
        curve
    }

    fn place(&self, p: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| (p[axis] - self.mean[axis]) * self.scale[axis])
    }

    /// A point, and the half of the curve that it belongs to.
    pub(super) fn draw(&self, draws: &Draws) -> ([f64; 2], u32) {
        let [bits, _] = draws.bits(0);
        let at = Draws::uniform(bits);
        let on = self.place((self.raw)(at));
        let noise = draws.normals(1);
        ([0, 1].map(|axis| on[axis] + self.noise * noise[axis]), u32::from(at >= 0.5))
    }

    /// The half of the curve, 0 or 1, that is nearest to `x`.
    pub(super) fn nearest_half(&self, x: [f64; 2]) -> u32 {
        u32::from(nearest(&self.nodes, x) >= NODES / 2)
    }

    pub(super) fn log_density(&self, x: [f64; 2]) -> f64 {
        let square = |node: &[f64; 2]| (x[0] - node[0]).powi(2) + (x[1] - node[1]).powi(2);
        let nearest = self.nodes.iter().map(square).fold(f64::INFINITY, f64::min);
        // Relative to the nearest node, so that nothing underflows; below exp(-40) a node
        // adds nothing, and most are.
        let rate = 0.5 / (self.noise * self.noise);
        let terms = self.nodes.iter().map(|node| (square(node) - nearest) * rate);
        let sum: f64 = terms.filter(|&t| t < 40.0).map(|t| (-t).exp()).sum();
        log_gaussian(nearest, self.noise) + (sum / NODES as f64).ln()
    }

    /// Largest distance between neighbours, in units of the noise.
    #[cfg(test)]
    pub(super) fn coarseness(&self, ends: &[usize]) -> f64 {
        let steps = (1..NODES).filter(|k| !ends.contains(k)).map(|k| {
            let (a, b) = (self.nodes[k - 1], self.nodes[k]);
            (a[0] - b[0]).hypot(a[1] - b[1]) / self.noise
        });
        steps.fold(0.0, f64::max)
    }
}
