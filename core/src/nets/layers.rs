//! Layers: small functions over [`Params`] and a value. Images are `[B, H, W, C]`.
//!
//! Names, first weights and numerics are those of EDM's networks (Karras et al. 2022, appendix
//! F.1, and the code published with it), so that its checkpoints can be imported. Invariant:
//! a layer adds no node that has to be computed on its own besides its contraction or its
//! moments; all else is pointwise and joins a neighbour.

use super::{DiskLayout, Init, Params};
use crate::graph::{Var, concat};

/// First weights of most layers.
pub const INIT: Init = Init::XavierUniform(1.0);
/// First weights of a layer whose output should begin near zero.
pub const INIT_ZERO: Init = Init::XavierUniform(1e-5);
/// First weights of the queries, keys and values: `sqrt(0.2)`.
pub const INIT_ATTENTION: Init = Init::XavierUniform(0.447_213_6);

/// `x [N, in]` to `[N, out]`: `x w^T + b`.
pub fn linear<'g>(params: &Params<'g>, name: &str, x: Var<'g>, out: usize, init: Init) -> Var<'g> {
    let w = params.get(&format!("{name}.weight"), &[out, last(x)], init, DiskLayout::Linear);
    let b = params.get(&format!("{name}.bias"), &[out], Init::Zeros, DiskLayout::Vector);
    params.graph().scope(name, || x.matmul_with(w, false, true) + b)
}

/// Several linear layers of one input `x [N, in]` as one product: a result `[N, out]` for every
/// name and number of outputs.
pub fn linears<'g>(params: &Params<'g>, layers: &[(String, usize)], x: Var<'g>, init: Init) -> Vec<Var<'g>> {
    let parts = |kind: &str| layers.iter().map(|(name, out)| (format!("{name}.{kind}"), *out)).collect::<Vec<_>>();
    let w = params.stacked(&parts("weight"), &[last(x)], init, DiskLayout::Linear);
    let b = params.stacked(&parts("bias"), &[], Init::Zeros, DiskLayout::Vector);
    let all = params.graph().scope("affine", || x.matmul_with(w, false, true) + b);
    let mut start = 0;
    let mut slice = |out: usize| {
        start += out;
        all.slice(1, start - out..start)
    };
    layers.iter().map(|(_, out)| slice(*out)).collect()
}

/// Convolution with a `k x k` kernel, stride 1, and a bias: `[B, H, W, Ci]` to `[B, H, W, out]`.
pub fn conv<'g>(params: &Params<'g>, name: &str, x: Var<'g>, out: usize, k: usize, init: Init) -> Var<'g> {
    let w = params.get(&format!("{name}.weight"), &[k, k, last(x), out], init, DiskLayout::Conv);
    let b = params.get(&format!("{name}.bias"), &[out], Init::Zeros, DiskLayout::Vector);
    params.graph().scope(name, || x.conv2d(w) + b)
}

/// Number of groups for `channels`: 32, or fewer so that each has four channels or more. Where
/// that does not divide the channels (EDM's networks then do not exist), the next that does.
pub fn groups(channels: usize) -> usize {
    (1..=(channels / 4).clamp(1, 32)).rev().find(|&g| channels.is_multiple_of(g)).unwrap_or(1)
}

/// Group normalisation (Wu and He 2018) with scale and shift per channel.
pub fn group_norm<'g>(params: &Params<'g>, name: &str, x: Var<'g>, eps: f32) -> Var<'g> {
    let shape = image(x);
    let c = shape[3];
    let g = groups(c);
    let w = params.get(&format!("{name}.weight"), &[c], Init::Ones, DiskLayout::Vector);
    let b = params.get(&format!("{name}.bias"), &[c], Init::Zeros, DiskLayout::Vector);
    params.graph().scope(name, || {
        let grouped = x.reshape(&[shape[0], shape[1], shape[2], g, c / g]);
        grouped.normalize(&[1, 2, 4], eps).reshape(&shape) * w + b
    })
}

/// Self-attention over pixels with `heads` heads (Vaswani et al. 2017), without the residual:
/// group norm, 1 x 1 convolution to q, k, v, `softmax(q k^T / sqrt(C / heads)) v`, 1 x 1
/// convolution. `[B, H, W, C]` to the same.
pub fn attention<'g>(params: &Params<'g>, name: &str, x: Var<'g>, heads: usize, eps: f32) -> Var<'g> {
    let [b, h, w, c] = image(x);
    let (t, d) = (h * w, c / heads);
    let normed = group_norm(params, &format!("{name}.norm2"), x, eps);
    let weight = params.get(&format!("{name}.qkv.weight"), &[1, 1, c, 3 * c], INIT_ATTENTION, DiskLayout::QkvConv);
    let bias = params.get(&format!("{name}.qkv.bias"), &[3 * c], Init::Zeros, DiskLayout::QkvVector);
    let qkv = params.graph().scope(&format!("{name}.qkv"), || normed.conv2d(weight) + bias);
    let mixed = params.graph().scope(&format!("{name}.attention"), || {
        let part = |i: usize| {
            let tokens = qkv.slice(3, i * c..(i + 1) * c).reshape(&[b, t, heads, d]);
            tokens.permute(&[0, 2, 1, 3]).reshape(&[b * heads, t, d])
        };
        let scores = part(0).matmul_with(part(1), false, true) * (1.0 / (d as f32).sqrt());
        let mixed = scores.softmax().matmul(part(2)).reshape(&[b, heads, t, d]);
        mixed.permute(&[0, 2, 1, 3]).reshape(&[b, h, w, c])
    });
    conv(params, &format!("{name}.proj"), mixed, c, 1, INIT_ZERO)
}

/// `sin` and `cos` of `noise [N]` times `count` frequencies, spaced evenly in the logarithm from
/// `first` to `last`: `[N, 2 count]`, sines first.
pub fn sinusoidal(noise: Var<'_>, count: usize, first: f32, last: f32) -> Var<'_> {
    let graph = noise.graph();
    let steps = count.max(2) - 1;
    let frequencies = first * (graph.iota(count) * (f64::from(last / first).ln() as f32 / steps as f32)).exp();
    let angles = noise.reshape(&[noise.len(), 1]) * frequencies.reshape(&[1, count]);
    concat(&[angles.sin(), angles.cos()], 1)
}

/// The embedding of DDPM++: [`sinusoidal`] with frequencies from 1 to 1/10000, `[N, channels]`.
pub fn positional_embedding(noise: Var<'_>, channels: usize) -> Var<'_> {
    sinusoidal(noise, channels / 2, 1.0, 1e-4)
}

/// Every `p x p` patch as one pixel: `[B, H, W, C]` to `[B, H / p, W / p, p p C]`.
pub fn patchify(x: Var<'_>, p: usize) -> Var<'_> {
    let [b, h, w, c] = image(x);
    if p == 1 {
        return x;
    }
    let split = x.reshape(&[b, h / p, p, w / p, p, c]).permute(&[0, 1, 3, 2, 4, 5]);
    split.reshape(&[b, h / p, w / p, p * p * c])
}

/// Inverse of [`patchify`].
pub fn unpatchify(x: Var<'_>, p: usize) -> Var<'_> {
    let [b, h, w, c] = image(x);
    if p == 1 {
        return x;
    }
    let split = x.reshape(&[b, h, w, p, p, c / (p * p)]).permute(&[0, 1, 3, 2, 4, 5]);
    split.reshape(&[b, h * p, w * p, c / (p * p)])
}

/// The sizes of an image.
fn image(x: Var<'_>) -> [usize; 4] {
    x.shape().try_into().unwrap_or_else(|got| panic!("an image is [B, H, W, C], got {got:?}"))
}

fn last(x: Var<'_>) -> usize {
    x.shape().last().copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::nets::testing::{assert_close, feed, values};

    #[test]
    fn groups_are_those_of_edm_where_they_divide() {
        for (channels, wanted) in [(3, 1), (4, 1), (8, 2), (48, 12), (128, 32), (256, 32), (512, 32), (144, 24)] {
            assert_eq!(groups(channels), wanted, "{channels} channels");
        }
    }

    #[test]
    fn patches_are_ordered_and_come_back() {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[2, 4, 6, 3]);
        let patches = patchify(x, 2);
        assert_eq!(patches.shape(), [2, 2, 3, 12]);
        let data = values(1, x.len());
        let out = crate::graph::reference::evaluate(&graph, &feed(&[("x", &data)]), &[patches, unpatchify(patches, 2)]);
        // Patch (1, 2) of image 1, its pixel (1, 0), channel 2.
        let patch = ((2 + 1) * 3 + 2) * 12 + 2 * 3 + 2;
        assert_eq!(out[0][patch], data[((4 + 3) * 6 + 4) * 3 + 2]);
        assert_eq!(out[1], data);
        graph.check().unwrap();
    }

    #[test]
    fn embedding_has_sines_before_cosines_and_both_end_points() {
        let graph = Graph::new();
        let e = positional_embedding(graph.input("noise", 0, &[2]), 8);
        let got = crate::graph::reference::evaluate(&graph, &feed(&[("noise", &[0.3, -1.1])]), &[e]).remove(0);
        let mut wanted = Vec::new();
        for noise in [0.3f64, -1.1] {
            let angles: Vec<f64> = (0..4).map(|i| noise * 10000f64.powf(-f64::from(i) / 3.0)).collect();
            wanted.extend(angles.iter().map(|a| a.sin()));
            wanted.extend(angles.iter().map(|a| a.cos()));
        }
        // The exponent's factor is an f32.
        assert_close(&got, &wanted, 1e-6);
    }

    #[test]
    fn group_norm_matches_naive_loops() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let x = graph.input("x", 0, &[2, 3, 2, 8]);
        let y = group_norm(&params, "norm", x, 1e-6);
        let (data, p) = (values(1, x.len()), values(2, params.layout().len));
        let got = crate::graph::reference::evaluate(&graph, &feed(&[("x", &data), ("p", &p)]), &[y]).remove(0);
        let mut wanted = vec![0.0; data.len()];
        for b in 0..2 {
            for g in 0..2 {
                let all: Vec<usize> =
                    (0..6).flat_map(|pixel| (0..4).map(move |c| (b * 6 + pixel) * 8 + g * 4 + c)).collect();
                let mean = all.iter().map(|&i| data[i]).sum::<f64>() / 24.0;
                let variance = all.iter().map(|&i| (data[i] - mean).powi(2)).sum::<f64>() / 24.0;
                for i in all {
                    wanted[i] = (data[i] - mean) / (variance + f64::from(1e-6f32)).sqrt() * p[i % 8] + p[64 + i % 8];
                }
            }
        }
        assert_close(&got, &wanted, 1e-12);
    }

    #[test]
    fn attention_matches_naive_loops() {
        let (b, t, c) = (2, 6, 8);
        for heads in [1, 2] {
            let graph = Graph::new();
            let params = Params::new(&graph, "p");
            let x = graph.input("x", 0, &[b, 3, 2, c]);
            let y = attention(&params, "a", x, heads, 1e-6);
            graph.check().unwrap();
            let normed = group_norm(&params, "a.norm2", x, 1e-6);
            let layout = params.layout();
            let (data, p) = (values(1, x.len()), values(2, layout.len));
            let out = crate::graph::reference::evaluate(&graph, &feed(&[("x", &data), ("p", &p)]), &[y, normed]);
            // The oracle reads the weights as a file holds them: q, k, v of a channel side by side.
            let disk = layout.to_tensors("", &p.iter().map(|&v| v as f32).collect::<Vec<_>>());
            let tensor = |name: &str, i: usize| f64::from(disk.get(name).unwrap().values[i]);
            let qkv = |b: usize, t_: usize, c_: usize, j: usize| {
                let row = 3 * c_ + j;
                (0..c).map(|i| out[1][(b * t + t_) * c + i] * tensor("a.qkv.weight", row * c + i)).sum::<f64>()
                    + tensor("a.qkv.bias", row)
            };
            let d = c / heads;
            let mut wanted = Vec::new();
            for b in 0..b {
                for i in 0..t {
                    let mut mixed = vec![0.0; c];
                    for head in 0..heads {
                        let channels = head * d..(head + 1) * d;
                        let score = |k: usize| {
                            let dot: f64 = channels.clone().map(|c| qkv(b, i, c, 0) * qkv(b, k, c, 1)).sum();
                            (dot / (d as f64).sqrt()).exp()
                        };
                        let total: f64 = (0..t).map(score).sum();
                        for c in channels.clone() {
                            mixed[c] = (0..t).map(|k| score(k) / total * qkv(b, k, c, 2)).sum();
                        }
                    }
                    for o in 0..c {
                        let sum: f64 = (0..c).map(|i| mixed[i] * tensor("a.proj.weight", o * c + i)).sum();
                        wanted.push(sum + tensor("a.proj.bias", o));
                    }
                }
            }
            // 1 / sqrt(C / heads) is an f32.
            assert_close(&out[0], &wanted, 1e-6);
        }
    }
}
