//! The perceptron at one noise level: `nets/mlp.rs` again, in ONNX's operators.

use super::Shift;
use super::builder::Value;
use super::layers::Layers;
use crate::nets::{MlpConfig, Waves};

/// The network of points `x [D]`; `shifts` is what the noise level says to each block.
pub fn mlp(layers: &mut Layers<'_>, config: &MlpConfig, x: &Value, shifts: &[Shift]) -> Value {
    let Waves { count, finest } = Waves::GENERATOR;
    let steps = (count.max(2) - 1) as f32;
    let frequencies: Vec<f32> = (0..count).map(|i| (i as f32 * (finest.ln() / steps)).exp()).collect();
    let frequencies = layers.graph.tensor("frequencies", &[1, count], &frequencies);
    let numbers = layers.graph.rows(x, 1);
    let angles = layers.graph.node("Mul", &[&numbers.name, &frequencies], &[], &[count]);
    let (sin, cos) = (layers.graph.pointwise("Sin", &angles, &[]), layers.graph.pointwise("Cos", &angles, &[]));
    let waves = layers.concat(&sin, &cos);
    let waves = layers.graph.rows(&waves, 2 * count * config.dim);
    let features = layers.concat(x, &waves);
    let mut h = layers.linear("input", &features);
    for (i, shift) in shifts.iter().enumerate() {
        let base = layers.graph.tensor(&format!("blocks.{i}.shift"), &[1, shift.base.len()], &shift.base);
        let mut shifted = layers.graph.pointwise("Add", &h, &[&base]);
        if let Some(class) = layers.of_label(&format!("blocks.{i}"), shift) {
            shifted = layers.graph.pointwise("Add", &shifted, &[&class.name]);
        }
        let y = layers.silu(&shifted);
        let y = layers.linear(&format!("blocks.{i}.linear"), &y);
        h = layers.graph.pointwise("Add", &h, &[&y.name]);
    }
    let h = layers.silu(&h);
    layers.linear("output", &h)
}
