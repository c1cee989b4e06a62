//! The U-Net of EDM's DDPM++ configuration (Karras et al. 2022, appendix F.1), at any size.
//!
//! The encoder's part is shared with the ratio network ([`super::ratio`]). Invariant: what
//! depends on the noise level alone has the batch of the noise, 1 if it is one level for all
//! images: the embedding costs nothing then.

use super::labels::embed_label;
use super::layers::{
    INIT, INIT_ZERO, attention, conv, group_norm, linear, linears, patchify, positional_embedding, unpatchify,
};
use super::unet_config::{Block, Resample, UnetConfig};
use super::{Params, Time};
use crate::graph::{Var, concat};

/// Added to a group's variance.
pub(crate) const EPS: f32 = 1e-6;
/// Keeps the variance of a sum of two: `sqrt(1 / 2)`.
pub(crate) const SKIP_SCALE: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// The network F of images `x [B, H, W, C]` and a time of N entries (N is B, or 1 for all images), with
/// one-hot `labels [B, K]` or `[1, K]` if it is conditional (none: no class): `[B, H, W, C]`.
pub fn unet<'g>(
    params: &Params<'g>,
    config: &UnetConfig,
    x: Var<'g>,
    time: Time<'g>,
    labels: Option<Var<'g>>,
) -> Var<'g> {
    let (encoder, decoder) = (config.encoder(), config.decoder());
    let blocks: Vec<&Block> = encoder.iter().chain(&decoder).collect();
    let mut shifts = shifts(params, config, &blocks, time, labels).into_iter();
    let mut skips = encode(params, config, &encoder, x, &mut shifts);
    let mut x = skips[skips.len() - 1];
    for (block, shift) in decoder.iter().zip(shifts) {
        if block.takes_skip {
            let skip = skips.pop().expect("the list of blocks has as many outputs as uses");
            x = params.graph().scope(&block.name, || concat(&[x, skip], 3));
        }
        x = unet_block(params, config, block, x, shift);
    }
    let size = config.level_name(0);
    let x = group_norm(params, &format!("dec.{size}_aux_norm"), x, EPS).silu();
    let out = config.channels * config.patch * config.patch;
    unpatchify(conv(params, &format!("dec.{size}_aux_conv"), x, out, 3, INIT_ZERO), config.patch)
}

/// Outputs of the first convolution and of every block of the encoder.
pub(super) fn encode<'g>(
    params: &Params<'g>,
    config: &UnetConfig,
    blocks: &[Block],
    x: Var<'g>,
    shifts: &mut impl Iterator<Item = Var<'g>>,
) -> Vec<Var<'g>> {
    let [height, width] = config.image_size();
    assert_eq!(x.shape()[1..], [height, width, config.channels], "images of another size than the network's");
    let size = config.level_name(0);
    let x = patchify(x, config.patch);
    let mut outputs = vec![conv(params, &format!("enc.{size}_conv"), x, config.model_channels, 3, INIT)];
    for (block, shift) in blocks.iter().zip(shifts) {
        outputs.push(unet_block(params, config, block, outputs[outputs.len() - 1], shift));
    }
    outputs
}

/// What the time and the label say to each of `blocks`: `[N, Co]`, or `[N, 2 Co]` with
/// adaptive scale. The embedding is computed once, and all blocks' affine layers as one product.
pub(super) fn shifts<'g>(
    params: &Params<'g>,
    config: &UnetConfig,
    blocks: &[&Block],
    time: Time<'g>,
    labels: Option<Var<'g>>,
) -> Vec<Var<'g>> {
    let waves = |x| params.graph().scope("map_noise", || positional_embedding(x, config.model_channels));
    let mut embedding = waves(time.noise);
    if config.two_times {
        embedding = embedding + linear(params, "map_gap", waves(time.gap_or_none()), config.model_channels, INIT_ZERO);
    }
    if let Some(label) = embed_label(params, config.label_dim, labels, config.model_channels) {
        embedding = embedding + label;
    }
    let embedding = linear(params, "map_layer0", embedding, config.emb_channels(), INIT).silu();
    let embedding = linear(params, "map_layer1", embedding, config.emb_channels(), INIT).silu();
    let width = if config.adaptive_scale { 2 } else { 1 };
    let layers: Vec<_> = blocks.iter().map(|b| (format!("{}.affine", b.name), width * b.c_out)).collect();
    linears(params, &layers, embedding, INIT)
}

/// One residual block: twice norm, activation and convolution, with a shift by the noise level in
/// between, plus the skip path; then attention if it has some.
fn unet_block<'g>(params: &Params<'g>, config: &UnetConfig, block: &Block, x: Var<'g>, shift: Var<'g>) -> Var<'g> {
    let Block { name, c_out, resample, .. } = block;
    let part = |part: &str| format!("{name}.{part}");
    let graph = params.graph();
    assert_eq!(x.shape()[3], block.c_in, "channels into {name}");
    let resized = |x: Var<'g>| match resample {
        Resample::Keep => x,
        Resample::Down => graph.scope(name, || x.downsample2()),
        Resample::Up => graph.scope(name, || x.upsample2()),
    };
    let h = resized(group_norm(params, &part("norm0"), x, EPS).silu());
    let h = conv(params, &part("conv0"), h, *c_out, 3, INIT);
    let n = shift.shape()[0];
    let channels = |i: usize| shift.slice(1, i * c_out..(i + 1) * c_out).reshape(&[n, 1, 1, *c_out]);
    let h = if config.adaptive_scale {
        (group_norm(params, &part("norm1"), h, EPS) * (channels(0) + 1.0) + channels(1)).silu()
    } else {
        group_norm(params, &part("norm1"), h + channels(0), EPS).silu()
    };
    let h = conv(params, &part("conv1"), h, *c_out, 3, INIT_ZERO);
    let skip = match resample {
        Resample::Keep if block.c_in == *c_out => x,
        // Nearest-neighbour upsampling and a 1 x 1 convolution commute: the cheaper goes first.
        Resample::Up => resized(conv(params, &part("skip"), x, *c_out, 1, INIT)),
        Resample::Keep | Resample::Down => conv(params, &part("skip"), resized(x), *c_out, 1, INIT),
    };
    let x = graph.scope(name, || (h + skip) * SKIP_SCALE);
    if !block.attention {
        return x;
    }
    let heads = config.channels_per_head.map_or(1, |per_head| c_out / per_head);
    let mixed = attention(params, name, x, heads, EPS);
    graph.scope(name, || (mixed + x) * SKIP_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::naive::Naive;
    use crate::nets::one_hot;
    use crate::nets::testing::{assert_close, check_gradient, feed, values};

    fn tiny() -> UnetConfig {
        UnetConfig {
            resolution: 4,
            channels: 2,
            model_channels: 8,
            channel_mult: vec![1, 2],
            num_blocks: 1,
            attn_resolutions: vec![2],
            channel_mult_emb: 2,
            ..UnetConfig::cifar10()
        }
    }

    fn shapes(config: &UnetConfig) -> std::collections::BTreeMap<String, Vec<usize>> {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let x = graph.input("x", 0, &[1, config.resolution, config.resolution, config.channels]);
        let y = unet(&params, config, x, Time::at(graph.input("noise", 0, &[1])), None);
        graph.check().unwrap();
        assert_eq!(y.shape(), x.shape());
        params.layout().specs.into_iter().map(|s| (s.name, s.disk.disk_shape(&s.shape))).collect()
    }

    #[test]
    fn names_and_shapes_of_a_small_network() {
        let shapes = shapes(&UnetConfig { patch: 2, resolution: 8, label_dim: 3, ..tiny() });
        let block = |name: &str, c_in: usize, c_out: usize, skip: bool, attention: bool| {
            let mut all = vec![
                (format!("{name}.norm0.weight"), vec![c_in]),
                (format!("{name}.norm0.bias"), vec![c_in]),
                (format!("{name}.conv0.weight"), vec![c_out, c_in, 3, 3]),
                (format!("{name}.conv0.bias"), vec![c_out]),
                (format!("{name}.affine.weight"), vec![c_out, 16]),
                (format!("{name}.affine.bias"), vec![c_out]),
                (format!("{name}.norm1.weight"), vec![c_out]),
                (format!("{name}.norm1.bias"), vec![c_out]),
                (format!("{name}.conv1.weight"), vec![c_out, c_out, 3, 3]),
                (format!("{name}.conv1.bias"), vec![c_out]),
            ];
            if skip {
                all.push((format!("{name}.skip.weight"), vec![c_out, c_in, 1, 1]));
                all.push((format!("{name}.skip.bias"), vec![c_out]));
            }
            if attention {
                all.push((format!("{name}.norm2.weight"), vec![c_out]));
                all.push((format!("{name}.norm2.bias"), vec![c_out]));
                all.push((format!("{name}.qkv.weight"), vec![3 * c_out, c_out, 1, 1]));
                all.push((format!("{name}.qkv.bias"), vec![3 * c_out]));
                all.push((format!("{name}.proj.weight"), vec![c_out, c_out, 1, 1]));
                all.push((format!("{name}.proj.bias"), vec![c_out]));
            }
            all
        };
        let layer = |name: &str, shape: &[usize]| {
            vec![(format!("{name}.weight"), shape.to_vec()), (format!("{name}.bias"), shape[..1].to_vec())]
        };
        let wanted: std::collections::BTreeMap<_, _> = [
            layer("map_label", &[8, 3]),
            layer("map_layer0", &[16, 8]),
            layer("map_layer1", &[16, 16]),
            layer("enc.4x4_conv", &[8, 8, 3, 3]),
            block("enc.4x4_block0", 8, 8, false, false),
            block("enc.2x2_down", 8, 8, true, false),
            block("enc.2x2_block0", 8, 16, true, true),
            block("dec.2x2_in0", 16, 16, false, true),
            block("dec.2x2_in1", 16, 16, false, false),
            block("dec.2x2_block0", 32, 16, true, false),
            block("dec.2x2_block1", 24, 16, true, true),
            block("dec.4x4_up", 16, 16, true, false),
            block("dec.4x4_block0", 24, 8, true, false),
            block("dec.4x4_block1", 16, 8, true, false),
            vec![("dec.4x4_aux_norm.weight".into(), vec![8]), ("dec.4x4_aux_norm.bias".into(), vec![8])],
            layer("dec.4x4_aux_conv", &[8, 8, 3, 3]),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(shapes, wanted);
    }

    /// The published network has 55,733,891 parameters, 9 x 128 of which map the labels of the
    /// augmentation that it was trained with (a linear layer without bias, idle when sampling).
    #[test]
    fn cifar10_network_has_the_published_number_of_parameters() {
        let count: usize = shapes(&UnetConfig::cifar10()).values().map(|s| s.iter().product::<usize>()).sum();
        assert_eq!(count + 9 * 128, 55_733_891);
    }

    #[test]
    fn forward_matches_naive_loops_over_the_tensors_of_a_file() {
        let heads = UnetConfig { channels_per_head: Some(4), adaptive_scale: true, num_blocks: 2, ..tiny() };
        let wide = UnetConfig { width: Some(6), ..heads.clone() };
        let tall = UnetConfig { resolution: 8, width: Some(2), attn_resolutions: vec![4], ..tiny() };
        let classes = UnetConfig { label_dim: 3, ..tiny() };
        for config in [tiny(), heads, wide, tall, classes] {
            let graph = Graph::new();
            let params = Params::new(&graph, "p");
            let [height, width] = config.image_size();
            let x = graph.input("x", 0, &[2, height, width, 2]);
            let labels = (config.label_dim > 0).then(|| one_hot(graph.input("class", 0, &[2]), config.label_dim));
            let y = unet(&params, &config, x, Time::at(graph.input("noise", 0, &[2])), labels);
            let layout = params.layout();
            let (p, data, noise) = (values(1, layout.len), values(2, x.len()), [0.7, -0.4]);
            // The second image is of no class.
            let stores: [(&str, &[f64]); 4] = [("p", &p), ("x", &data), ("noise", &noise), ("class", &[1.0, -1.0])];
            let got = evaluate(&graph, &feed(&stores), &[y]).remove(0);
            let tensors = layout.to_tensors("", &p.iter().map(|x| *x as f32).collect::<Vec<_>>());
            let naive = Naive { tensors: &tensors, config: &config };
            let images = data.chunks(x.len() / 2).zip(noise).zip([Some(1), None]);
            let wanted: Vec<f64> = images.flat_map(|((image, noise), class)| naive.run(image, noise, class)).collect();
            // Constants of the graph are f32: frequencies, scales and eps.
            assert_close(&got, &wanted, 1e-5);
        }
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let variants = [
            tiny(),
            UnetConfig {
                adaptive_scale: true,
                channels_per_head: Some(8),
                label_dim: 2,
                patch: 2,
                resolution: 8,
                width: Some(12),
                ..tiny()
            },
        ];
        for config in variants {
            let graph = Graph::new();
            let params = Params::new(&graph, "p");
            let [height, width] = config.image_size();
            let x = graph.input("x", 0, &[2, height, width, config.channels]);
            let noise = graph.input("noise", 0, &[2]);
            let labels = (config.label_dim > 0).then(|| graph.input("labels", 0, &[2, config.label_dim]));
            let y = unet(&params, &config, x, Time::at(noise), labels);
            let target = graph.input("target", 0, &x.shape());
            let loss = (y - target).square().mean_all();
            let stores: Vec<(&str, Vec<f64>)> = vec![
                ("p", values(1, params.layout().len)),
                ("x", values(2, x.len())),
                ("target", values(3, x.len())),
                ("noise", vec![0.7, -0.4]),
                ("labels", vec![1.0, 0.0, 0.0, 1.0]),
            ];
            let feed = feed(&stores.iter().map(|(name, v)| (*name, &v[..])).collect::<Vec<_>>());
            let mut wrt = vec![("x", 0, x)];
            wrt.extend(labels.map(|labels| ("labels", 0, labels)));
            wrt.extend(params.all().into_iter().step_by(5).map(|(offset, var)| ("p", offset, var)));
            check_gradient(&graph, &feed, loss, &wrt, 2);
        }
    }

    #[test]
    fn one_noise_level_for_all_equals_one_per_image_and_stays_small() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let x = graph.input("x", 0, &[3, 4, 4, 2]);
        let one = unet(&params, &tiny(), x, Time::at(graph.input("noise", 0, &[1])), None);
        let per_batch = graph.nodes().iter().filter(|n| n.shape.len() == 2 && n.shape[0] == 3).count();
        assert_eq!(per_batch, 0, "the embedding of one level was repeated for the batch");
        let each = unet(&params, &tiny(), x, Time::at(graph.input("noise", 0, &[3])), None);
        let stores = [("p", values(1, params.layout().len)), ("x", values(2, x.len())), ("noise", vec![0.3; 3])];
        let feed = feed(&[("p", &stores[0].1), ("x", &stores[1].1), ("noise", &stores[2].1)]);
        let out = evaluate(&graph, &feed, &[one, each]);
        assert_close(&out[0], &out[1], 1e-14);
    }
}
