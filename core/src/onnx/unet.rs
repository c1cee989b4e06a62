//! The U-Net at one noise level: `nets/unet.rs` again, in ONNX's operators.
//!
//! What depends on the noise level alone is a constant, so the embedding and its layers are gone:
//! what they say to a block is part of that block's bias, or of its second normalisation.

use super::builder::Value;
use super::layers::Layers;
use crate::nets::{Block, EPS, Resample, SKIP_SCALE, UnetConfig};

/// The network of images `x [C, H, W]`; `shifts` is what the noise level says to each block.
pub fn unet(layers: &mut Layers<'_>, config: &UnetConfig, x: &Value, shifts: &[Vec<f32>]) -> Value {
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

fn unet_block(layers: &mut Layers<'_>, config: &UnetConfig, block: &Block, x: &Value, shift: &[f32]) -> Value {
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
    let h = if config.adaptive_scale {
        let h = layers.conv(&part("conv0"), &h);
        let (more, after) = shift.split_at(*c_out);
        let scale: Vec<f32> =
            layers.vector(&part("norm1.weight")).iter().zip(more).map(|(w, s)| w * (1.0 + s)).collect();
        let bias = layers.vector(&part("norm1.bias"));
        let bias: Vec<f32> = bias.iter().zip(more).zip(after).map(|((b, s), a)| b * (1.0 + s) + a).collect();
        layers.group_norm_with(&part("norm1"), &h, EPS, &scale, &bias)
    } else {
        let bias: Vec<f32> = layers.vector(&part("conv0.bias")).iter().zip(shift).map(|(b, s)| b + s).collect();
        let h = layers.conv_with_bias(&part("conv0"), &h, &bias);
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

/// A residual, scaled so that the variance stays.
fn sum(layers: &mut Layers<'_>, x: &Value, y: &Value) -> Value {
    let sum = layers.graph.pointwise("Add", x, &[&y.name]);
    let scale = layers.graph.number(SKIP_SCALE);
    layers.graph.pointwise("Mul", &sum, &[&scale])
}
