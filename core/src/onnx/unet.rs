//! The U-Net at one noise level: `nets/unet.rs` again, in ONNX's operators.
//!
//! What depends on the noise level alone is a constant, so the embedding and its layers are gone:
//! what they say to a block is part of that block's bias, or of its second normalisation. What a class says is a row of
//! a table, and added to that.

use super::Shift;
use super::builder::{Attribute, Value};
use super::layers::Layers;
use crate::nets::{Block, EPS, Resample, SKIP_SCALE, UnetConfig};

/// The network of images `x [C, H, W]`; `shifts` is what the noise level says to each block.
pub fn unet(layers: &mut Layers<'_>, config: &UnetConfig, x: &Value, shifts: &[Shift]) -> Value {
    let (encoder, decoder) = (config.encoder(), config.decoder());
    let (first, last) = shifts.split_at(encoder.len());
    let size = config.level_name(0);
    let x = layers.patchify(x, config.patch);
    let mut x = layers.conv(&format!("enc.{size}_conv"), &x);
    let mut skips = vec![x.clone()];
    for (block, shift) in encoder.iter().zip(first) {
        x = unet_block(layers, config, block, &x, shift);
        skips.push(x.clone());
    }
    for (block, shift) in decoder.iter().zip(last) {
        if block.takes_skip {
            let skip = skips.pop().expect("the list of blocks has as many outputs as uses");
            x = layers.concat(&x, &skip);
        }
        x = unet_block(layers, config, block, &x, shift);
    }
    let x = layers.group_norm(&format!("dec.{size}_aux_norm"), &x, EPS);
    let x = layers.silu(&x);
    let x = layers.conv(&format!("dec.{size}_aux_conv"), &x);
    layers.unpatchify(&x, config.patch)
}

fn unet_block(layers: &mut Layers<'_>, config: &UnetConfig, block: &Block, x: &Value, shift: &Shift) -> Value {
    let Block { name, c_out, resample, .. } = block;
    let part = |part: &str| format!("{name}.{part}");
    let resized = |layers: &mut Layers<'_>, x: &Value| match resample {
        Resample::Keep => x.clone(),
        Resample::Down => layers.downsample2(x),
        Resample::Up => layers.upsample2(x),
    };
    let h = layers.group_norm(&part("norm0"), x, EPS);
    let h = layers.silu(&h);
    let h = resized(layers, &h);
    let class = layers.of_label(name, shift);
    let h = if config.adaptive_scale {
        let h = layers.conv(&part("conv0"), &h);
        let (more, after) = shift.base.split_at(*c_out);
        let scale: Vec<f32> =
            layers.vector(&part("norm1.weight")).iter().zip(more).map(|(w, s)| w * (1.0 + s)).collect();
        let bias = layers.vector(&part("norm1.bias"));
        let bias: Vec<f32> = bias.iter().zip(more).zip(after).map(|((b, s), a)| b * (1.0 + s) + a).collect();
        let normed = layers.group_norm_with(&part("norm1"), &h, EPS, &scale, &bias);
        match class {
            Some(class) => scaled_by_class(layers, &part("norm1"), &h, &normed, &class),
            None => normed,
        }
    } else {
        let bias: Vec<f32> = layers.vector(&part("conv0.bias")).iter().zip(&shift.base).map(|(b, s)| b + s).collect();
        let mut h = layers.conv_with_bias(&part("conv0"), &h, &bias);
        if let Some(class) = class {
            let class = layers.graph.reshape(&class, &[*c_out, 1, 1]);
            h = layers.graph.pointwise("Add", &h, &[&class.name]);
        }
        layers.group_norm(&part("norm1"), &h, EPS)
    };
    let h = layers.silu(&h);
    let h = layers.conv(&part("conv1"), &h);
    let skip = match resample {
        Resample::Keep if block.c_in == *c_out => x.clone(),
        // In this order for the reason that `nets/unet.rs` gives.
        Resample::Up => {
            let skip = layers.conv(&part("skip"), x);
            resized(layers, &skip)
        }
        Resample::Keep | Resample::Down => {
            let skip = resized(layers, x);
            layers.conv(&part("skip"), &skip)
        }
    };
    let x = sum(layers, &h, &skip);
    if !block.attention {
        return x;
    }
    let heads = config.channels_per_head.map_or(1, |per_head| c_out / per_head);
    let mixed = layers.attention(name, &x, heads, EPS);
    sum(layers, &mixed, &x)
}

/// `normed` is `n (1 + s) + a` of the plain norm `n` of `h`, with what the noise level says; the class adds `n` times
/// its first half, and its second half.
fn scaled_by_class(layers: &mut Layers<'_>, norm: &str, h: &Value, normed: &Value, class: &Value) -> Value {
    let channels = h.shape[0];
    // Under a name of its own: the norm's has the noise level in it.
    let (scale, shift) = (layers.vector(&format!("{norm}.weight")), layers.vector(&format!("{norm}.bias")));
    let plain = layers.group_norm_with(&format!("{norm}.plain"), h, EPS, &scale, &shift);
    let axis = [("axis", Attribute::Int(1))];
    let halves = layers.graph.node_of_many("Split", &[&class.name], &axis, &[channels], 2);
    let [more, after] = [0, 1].map(|i| layers.graph.reshape(&halves[i], &[channels, 1, 1]));
    let scaled = layers.graph.pointwise("Mul", &plain, &[&more.name]);
    let sum = layers.graph.pointwise("Add", normed, &[&scaled.name]);
    layers.graph.pointwise("Add", &sum, &[&after.name])
}

/// A residual, scaled so that the variance stays.
fn sum(layers: &mut Layers<'_>, x: &Value, y: &Value) -> Value {
    let sum = layers.graph.pointwise("Add", x, &[&y.name]);
    let scale = layers.graph.number(SKIP_SCALE);
    layers.graph.pointwise("Mul", &sum, &[&scale])
}
