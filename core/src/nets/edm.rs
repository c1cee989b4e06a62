//! Preconditioning: from a bare network F to a denoiser, a generator, a ratio.
//!
//! Karras et al. 2022 (arXiv 2206.00364), table 1, column "Ours": inputs and outputs of F have
//! unit variance at every noise level. Invariant: the coefficients have the noise's batch, 1 if
//! it is one level for all.

use crate::graph::Var;

/// Standard deviation of the data, to which they are scaled.
pub const SIGMA_DATA: f32 = 0.5;

/// The four functions of sigma in table 1.
#[derive(Clone, Copy, Debug)]
pub struct Preconditioning<'g> {
    /// `sd^2 / (sigma^2 + sd^2)`
    pub c_skip: Var<'g>,
    /// `sigma sd / sqrt(sigma^2 + sd^2)`
    pub c_out: Var<'g>,
    /// `1 / sqrt(sigma^2 + sd^2)`
    pub c_in: Var<'g>,
    /// `ln(sigma) / 4`, shape `[N]`
    pub c_noise: Var<'g>,
}

impl<'g> Preconditioning<'g> {
    /// For `sigma [N]` (or one number) and data of `rank` axes: the first three are `[N, 1, ..]`.
    pub fn new(sigma: Var<'g>, rank: usize) -> Self {
        let s = per_sample(sigma, rank);
        let variance = s.square() + SIGMA_DATA * SIGMA_DATA;
        let c_in = variance.sqrt().recip();
        Self {
            c_skip: SIGMA_DATA * SIGMA_DATA / variance,
            c_out: s * SIGMA_DATA * c_in,
            c_in,
            c_noise: sigma.reshape(&[sigma.len()]).log() * 0.25,
        }
    }
}

/// `sigma [N]` (or one number) as `[N, 1, ..]` with `rank` axes.
pub fn per_sample(sigma: Var<'_>, rank: usize) -> Var<'_> {
    let mut shape = vec![1; rank];
    shape[0] = sigma.len();
    sigma.reshape(&shape)
}

/// `D(x; sigma) = c_skip x + c_out F(c_in x, c_noise)` (equation 7). `sigma` is `[N]`, N the batch
/// or 1.
pub fn denoise<'g>(net: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    let scope = |body: &dyn Fn() -> Var<'g>| x.graph().scope("precondition", body);
    let p = Preconditioning::new(sigma, x.rank());
    let output = net(scope(&|| p.c_in * x), p.c_noise);
    scope(&|| p.c_skip * x + p.c_out * output)
}

/// `g(z) = D(sigma_init z; sigma_init)`: a sample in one evaluation from a standard normal `latent`.
pub fn generate<'g>(net: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>, latent: Var<'g>, sigma_init: f32) -> Var<'g> {
    denoise(net, latent * sigma_init, latent.graph().full(sigma_init, &[1]))
}

/// `l(x_t, sigma) = F(c_in x_t, c_noise)`, the log density ratio `[B]`.
pub fn ratio_logit<'g>(net: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>, x_t: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    let p = Preconditioning::new(sigma, x_t.rank());
    net(p.c_in * x_t, p.c_noise)
}

/// Weight of the denoising loss: `(sigma^2 + sd^2) / (sigma sd)^2`, shape of `sigma`.
pub fn denoising_weight(sigma: Var<'_>) -> Var<'_> {
    (sigma.square() + SIGMA_DATA * SIGMA_DATA) / (sigma * SIGMA_DATA).square()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::evaluate;
    use crate::graph::{Graph, Op};
    use crate::nets::testing::{assert_close, feed, values};

    #[test]
    fn coefficients_satisfy_the_identities_of_the_paper() {
        let graph = Graph::new();
        let sigma = graph.input("sigma", 0, &[4]);
        let p = Preconditioning::new(sigma, 4);
        let levels = [0.002f64, 0.5, 1.7, 80.0];
        let wanted = [p.c_skip, p.c_out, p.c_in, p.c_noise, denoising_weight(sigma)];
        let out = evaluate(&graph, &feed(&[("sigma", &levels)]), &wanted);
        assert_eq!(p.c_skip.shape(), [4, 1, 1, 1]);
        for (i, s) in levels.into_iter().enumerate() {
            let (skip, c_out, c_in) = (out[0][i], out[1][i], out[2][i]);
            // Appendix B.6: unit variance of the input and of the target, weight 1 / c_out^2.
            assert_close(&[c_in * c_in * (s * s + 0.25)], &[1.0], 1e-12);
            assert_close(&[((1.0 - skip).powi(2) * 0.25 + skip * skip * s * s) / (c_out * c_out)], &[1.0], 1e-12);
            assert_close(&[out[4][i] * c_out * c_out], &[1.0], 1e-12);
            assert_close(&[out[3][i]], &[s.ln() / 4.0], 1e-12);
        }
    }

    #[test]
    fn denoiser_of_a_perfect_network_returns_the_data() {
        // The target of F is (x0 - c_skip x) / c_out: with it, D(x) is x0.
        let graph = Graph::new();
        let (x, x0) = (graph.input("x", 0, &[2, 2, 2, 1]), graph.input("x0", 0, &[2, 2, 2, 1]));
        let sigma = graph.input("sigma", 0, &[2]);
        let p = Preconditioning::new(sigma, 4);
        let d = denoise(|_, _| (x0 - p.c_skip * x) / p.c_out, x, sigma);
        let (a, b) = (values(1, 8), values(2, 8));
        let out = evaluate(&graph, &feed(&[("x", &a), ("x0", &b), ("sigma", &[0.1, 30.0])]), &[d]);
        assert_close(&out[0], &b, 1e-12);
    }

    #[test]
    fn generator_is_the_denoiser_at_sigma_init() {
        let graph = Graph::new();
        let z = graph.input("z", 0, &[3, 2]);
        let one = generate(|x, noise| x * 2.0 + noise.reshape(&[1, 1]), z, 80.0);
        let two = denoise(|x, noise| x * 2.0 + noise.reshape(&[1, 1]), z * 80.0, graph.full(80.0, &[1]));
        assert_eq!(one, two, "equal nodes are one node");
        let roots = graph.nodes().iter().filter(|n| matches!(n.op, Op::Unary(_))).count();
        assert_eq!(roots, 0, "coefficients of one constant level are constants");
        let out = evaluate(&graph, &feed(&[("z", &values(1, 6))]), &[one]);
        let wanted: Vec<f64> = values(1, 6)
            .into_iter()
            .map(|z| {
                let (x, v) = (80.0 * z, 6400.25f64);
                0.25 / v * x + 40.0 / v.sqrt() * (2.0 * x / v.sqrt() + 80f64.ln() / 4.0)
            })
            .collect();
        assert_close(&out[0], &wanted, 1e-5); // constants are folded in f32
    }
}
