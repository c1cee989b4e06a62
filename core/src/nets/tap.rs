//! What a denoiser sees in a noised sample, tapped half way through it, and a head that judges by it: a discriminator that
//! costs little beside the denoiser that is there anyway.
//!
//! Invariant: features are nodes of the denoiser of the same parameters and inputs, so that asking for both costs one
//! evaluation.

use super::layers::{INIT, INIT_ZERO, conv, group_norm, linear};
use super::unet::{EPS, encode, shifts};
use super::unet_config::Block;
use super::{NetworkConfig, Params, Preconditioning, Time, Waves, mlp};
use crate::graph::Var;

impl NetworkConfig {
    /// What the denoiser makes of `x [B, ..]` at `sigma [N]` half way: of a U-Net the end of its encoder `[B, h, w, C]`, of
    /// a perceptron what is there behind half of its blocks `[B, width]`. Not of several networks.
    pub fn features<'g>(&self, params: &Params<'g>, x: Var<'g>, sigma: Var<'g>, labels: Option<Var<'g>>) -> Var<'g> {
        // Once whole, so that every parameter has the place that the layout says.
        let _ = self.denoiser(params, x, sigma, labels);
        let p = params.graph().scope("precondition", || Preconditioning::new(sigma, x.rank()));
        let (x, time) = (params.graph().scope("precondition", || p.c_in * x), Time::at(p.c_noise));
        match self {
            Self::Mlp(config) => {
                mlp::hidden(params, config, x, time, labels, Waves::GENERATOR, config.depth.div_ceil(2))
            }
            Self::Unet(config) => {
                let (encoder, decoder) = (config.encoder(), config.decoder());
                let blocks: Vec<&Block> = encoder.iter().chain(&decoder).collect();
                let mut shifts = shifts(params, config, &blocks, time, labels).into_iter();
                let outputs = encode(params, config, &encoder, x, &mut shifts);
                outputs[outputs.len() - 1]
            }
            Self::Students(_) => panic!("several networks have no features in common"),
        }
    }

    /// The logit `[B]` of [`NetworkConfig::features`] by a head of one hidden layer, which sees every place: where a stroke
    /// is matters. Without training it says 0: it has no opinion yet.
    pub fn judge<'g>(&self, params: &Params<'g>, features: Var<'g>) -> Var<'g> {
        let (batch, channels) = (features.shape()[0], features.shape()[features.rank() - 1]);
        let hidden = if features.rank() == 4 {
            let x = group_norm(params, "norm0", features, EPS).silu();
            group_norm(params, "norm1", conv(params, "conv", x, channels, 3, INIT), EPS).silu()
        } else {
            linear(params, "hidden", features.silu(), channels, INIT).silu()
        };
        let flat = hidden.reshape(&[batch, hidden.len() / batch]);
        linear(params, "logit", flat, 1, INIT_ZERO).reshape(&[batch])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::nets::testing::{check_gradient, feed, values};
    use crate::nets::{MlpConfig, UnetConfig};

    fn networks() -> [NetworkConfig; 2] {
        let mlp = MlpConfig { dim: 2, width: 6, depth: 3, label_dim: 0, two_times: false };
        let unet = UnetConfig { model_channels: 4, channel_mult_emb: 2, ..UnetConfig::tiny() };
        [NetworkConfig::Mlp(mlp), NetworkConfig::Unet(unet)]
    }

    fn input<'g>(network: &NetworkConfig, graph: &'g Graph) -> [Var<'g>; 2] {
        let shape: Vec<usize> = std::iter::once(2).chain(network.data_shape()).collect();
        [graph.input("x", 0, &shape), graph.input("sigma", 0, &[2])]
    }

    #[test]
    fn gradients_by_sample_denoiser_and_head_match_finite_differences() {
        for network in networks() {
            let graph = Graph::new();
            let [x, sigma] = input(&network, &graph);
            let (denoiser, head) = (Params::new(&graph, "p"), Params::new(&graph, "head"));
            let logit = network.judge(&head, network.features(&denoiser, x, sigma, None));
            assert_eq!(logit.shape(), [2]);
            let loss = logit.softplus().mean_all();
            let (p, q) = (values(1, denoiser.layout().len), values(3, head.layout().len));
            let feed = feed(&[("p", &p), ("head", &q), ("x", &values(2, x.len())), ("sigma", &[0.7, 2.5])]);
            let mut wrt = vec![("x", 0, x)];
            wrt.extend(head.all().into_iter().map(|(offset, var)| ("head", offset, var)));
            // The decoder has no part in it: its gradients are zero.
            wrt.extend(denoiser.all().into_iter().step_by(3).map(|(offset, var)| ("p", offset, var)));
            check_gradient(&graph, &feed, loss, &wrt, 3);
        }
    }

    #[test]
    fn features_lie_on_the_denoisers_way_and_parameters_keep_their_places() {
        for network in networks() {
            let graph = Graph::new();
            let [x, sigma] = input(&network, &graph);
            let params = Params::new(&graph, "p");
            let _ = network.denoiser(&params, x, sigma, None);
            let before = graph.nodes().len();
            let _ = network.features(&params, x, sigma, None);
            assert_eq!(graph.nodes().len(), before, "features are computed beside the denoiser");
            assert_eq!(params.layout(), network.generator_layout());
        }
    }

    #[test]
    fn an_untrained_head_has_no_opinion() {
        for network in networks() {
            let layout = network.judge_layout();
            let last: Vec<_> = layout.specs.iter().filter(|spec| spec.name.starts_with("logit")).collect();
            assert_eq!(last.len(), 2);
            let first = layout.initial(3);
            assert!(last.iter().flat_map(|spec| &first[spec.range()]).all(|w| w.abs() < 1e-4));
            assert!(layout.parameters() * 4 < network.generator_layout().parameters(), "a head costs little");
        }
    }
}
