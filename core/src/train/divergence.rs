//! The f-divergences that a generator can reduce (METHOD: DiffRatio, arXiv 2502.08005; the
//! weights are those of f-distill, arXiv 2502.15681, table 1).

use serde::{Deserialize, Serialize};

use crate::graph::Var;
use crate::names::named;

/// A divergence between generator and data, by the function `phi` of the log density ratio `l`
/// whose mean over noised samples is the generator's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// `phi = -l`: what VSD and DMD approximate.
    ReverseKl,
    /// `phi = softplus(-l)`: also the non-saturating GAN loss on noised samples.
    SoftReverseKl,
    /// `phi = -softplus(l)`: saturates where samples are clearly fake.
    Js,
    /// Squared Hellinger: `phi = -exp(l / 2) / 2`.
    Hellinger,
    /// `phi = -exp(l)`: high variance.
    ForwardKl,
    /// `phi = -l - exp(l)`.
    Jeffreys,
}

/// Bounds of the logit where it is exponentiated.
pub(super) const LOGIT: f32 = 10.0;
/// Bounds of the density ratio where it is a weight.
pub(super) const RATIO: (f32, f32) = (0.1, 20.0);

impl Divergence {
    /// `phi(l)`, elementwise: the value that is reported.
    pub fn phi(self, logit: Var<'_>) -> Var<'_> {
        let l = logit.clamp(-LOGIT, LOGIT);
        match self {
            Self::ReverseKl => -logit,
            Self::SoftReverseKl => (-logit).softplus(),
            Self::Js => -logit.softplus(),
            Self::Hellinger => (l * 0.5).exp() * -0.5,
            Self::ForwardKl => -l.exp(),
            Self::Jeffreys => -logit - l.exp(),
        }
    }

    /// `h(r) = -phi'(l)` with `r = exp(l)` clamped: the weight of the score difference.
    ///
    /// The loss is differentiated through this weight rather than through `phi`, because a clamp
    /// inside `phi` would stop the gradient of just those samples that are furthest off.
    pub fn weight(self, logit: Var<'_>) -> Var<'_> {
        let ratio = logit.clamp(-LOGIT, LOGIT).exp().clamp(RATIO.0, RATIO.1);
        match self {
            Self::ReverseKl => logit.graph().full(1.0, &logit.shape()),
            Self::SoftReverseKl => (-logit).sigmoid(),
            Self::Js => logit.sigmoid(),
            Self::Hellinger => ratio.sqrt() * 0.25,
            Self::ForwardKl => ratio,
            Self::Jeffreys => ratio + 1.0,
        }
    }
}

named!(Divergence, "divergences":
    ReverseKl = "reverse-kl",
    SoftReverseKl = "soft-reverse-kl",
    Js = "js",
    Hellinger = "hellinger",
    ForwardKl = "forward-kl",
    Jeffreys = "jeffreys",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};

    /// `weight = -d phi / d l`, where nothing is clamped.
    #[test]
    fn weights_are_the_derivatives_of_phi() {
        let logits = [-2.0, -0.5, 0.0, 0.7, 2.5];
        for &divergence in Divergence::ALL {
            let graph = Graph::new();
            let l = graph.input("l", 0, &[logits.len()]);
            let weight = divergence.weight(l);
            let slope = -graph.grad(divergence.phi(l).sum_all(), &[l])[0];
            let feed = Feed { stores: [("l".to_owned(), logits.to_vec())].into(), ..Feed::default() };
            let values = evaluate(&graph, &feed, &[weight, slope]);
            for (w, s) in values[0].iter().zip(&values[1]) {
                assert!((w - s).abs() < 1e-6, "{divergence}: weight {w}, -phi' {s}");
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for &divergence in Divergence::ALL {
            assert_eq!(divergence.name().parse(), Ok(divergence));
        }
        assert!("kl".parse::<Divergence>().unwrap_err().contains("reverse-kl"));
    }
}
