//! The ratio network: the encoder of the generator's U-Net and a linear head.
//!
//! Its output is the logit l(x, sigma), an estimate of `log p_data - log q_generator` at that noise
//! level (arXiv 2502.08005). The encoder has the U-Net's parameter names, so that the warm-up's
//! weights can start it ([`super::ParamLayout::transfer`]). Invariant: without training it says 0,
//! nearly: it has no opinion yet.

use super::layers::{INIT_ZERO, group_norm, linear};
use super::unet::{EPS, encode, shifts};
use super::{Params, Time, UnetConfig};
use crate::graph::Var;

/// The logit `[B]` of images `x [B, H, W, C]` at a time of N entries (N is B or 1): the encoder, and a
/// linear function of its normalised features at every place: where a stroke is matters.
pub fn ratio<'g>(
    params: &Params<'g>,
    config: &UnetConfig,
    x: Var<'g>,
    time: Time<'g>,
    labels: Option<Var<'g>>,
) -> Var<'g> {
    let encoder = config.encoder();
    let blocks: Vec<_> = encoder.iter().collect();
    let mut shifts = shifts(params, config, &blocks, time, labels).into_iter();
    let outputs = encode(params, config, &encoder, x, &mut shifts);
    let features = group_norm(params, "head_norm", outputs[outputs.len() - 1], EPS).silu();
    let batch = features.shape()[0];
    let flat = features.reshape(&[batch, features.len() / batch]);
    linear(params, "head", flat, 1, INIT_ZERO).reshape(&[batch])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::nets::NetworkConfig;
    use crate::nets::testing::{check_gradient, feed, values};

    fn tiny() -> UnetConfig {
        UnetConfig { model_channels: 4, channel_mult_emb: 2, ..UnetConfig::tiny() }
    }

    #[test]
    fn gradient_with_classes_matches_finite_differences() {
        let config = UnetConfig { label_dim: 3, ..tiny() };
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let (x, labels) = (graph.input("x", 0, &[2, 8, 8, 1]), graph.input("labels", 0, &[2, 3]));
        let logit = ratio(&params, &config, x, Time::at(graph.input("noise", 0, &[1])), Some(labels));
        let loss = logit.softplus().mean_all();
        let (p, data) = (values(1, params.layout().len), values(2, x.len()));
        let feed = feed(&[("p", &p), ("x", &data), ("noise", &[0.7]), ("labels", &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0])]);
        let mut wrt = vec![("x", 0, x), ("labels", 0, labels)];
        wrt.extend(params.all().into_iter().take(4).map(|(offset, var)| ("p", offset, var)));
        check_gradient(&graph, &feed, loss, &wrt, 6);
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let x = graph.input("x", 0, &[2, 8, 8, 1]);
        let logit = ratio(&params, &tiny(), x, Time::at(graph.input("noise", 0, &[2])), None);
        assert_eq!(logit.shape(), [2]);
        let loss = logit.softplus().mean_all();
        let (p, data) = (values(1, params.layout().len), values(2, x.len()));
        let feed = feed(&[("p", &p), ("x", &data), ("noise", &[0.7, -0.4])]);
        let mut wrt = vec![("x", 0, x)];
        wrt.extend(params.all().into_iter().step_by(3).map(|(offset, var)| ("p", offset, var)));
        check_gradient(&graph, &feed, loss, &wrt, 3);
    }

    #[test]
    fn everything_but_the_head_comes_from_the_generator() {
        let config = NetworkConfig::Unet(tiny());
        let (generator, ratio) = (config.generator_layout(), config.ratio_layout());
        let mut values = ratio.initial(1);
        let source = generator.initial(2);
        let copied = ratio.transfer(&mut values, &generator, &source);
        let left: Vec<&str> = ratio.specs.iter().map(|s| &s.name[..]).filter(|n| !copied.contains(n)).collect();
        assert_eq!(left, ["head_norm.weight", "head_norm.bias", "head.weight", "head.bias"]);
        assert!(ratio.parameters() * 2 < generator.parameters());
    }
}
