//! Layers as the operators that exporters of other frameworks use for them, so that a runtime finds
//! what it has fast kernels for. Images are `[C, H, W]` here, as ONNX has them.

use super::Shift;
use super::builder::{Attribute, Builder, Value};
use crate::nets::{Tensors, groups};

/// A graph under construction and the weights that its layers take, by their names in a file.
pub struct Layers<'m> {
    pub graph: Builder,
    pub weights: &'m Tensors,
    /// One-hot `[K]`, for a model with classes.
    pub label: Option<Value>,
}

impl Layers<'_> {
    /// A weight as it is in the file.
    fn weight(&mut self, name: &str) -> String {
        // An index into this kind of map has to own its key.
        let tensor = &self.weights[&name.to_owned()];
        self.graph.tensor(name, &tensor.shape, &tensor.values)
    }

    /// The values of a vector in the file.
    pub fn vector(&self, name: &str) -> Vec<f32> {
        self.weights[&name.to_owned()].values.clone()
    }

    /// What the label says to a block besides the noise level: numbers `[width]`; nothing without classes.
    pub fn of_label(&mut self, name: &str, shift: &Shift) -> Option<Value> {
        let (label, width) = (self.label.clone()?, shift.base.len());
        let table = self.graph.tensor(&format!("{name}.classes"), &[label.shape[0], width], &shift.classes);
        Some(self.graph.node("MatMul", &[&label.name, &table], &[], &[width]))
    }

    /// `x [in]` to `[out]`: `x w^T + b`.
    pub fn linear(&mut self, name: &str, x: &Value) -> Value {
        let (w, b) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        let out = self.weights[&format!("{name}.bias")].values.len();
        self.graph.node("Gemm", &[&x.name, &w, &b], &[("transB", Attribute::Int(1))], &[out])
    }

    /// A convolution of stride 1 with zeros around the image.
    pub fn conv(&mut self, name: &str, x: &Value) -> Value {
        let bias = self.vector(&format!("{name}.bias"));
        self.conv_with_bias(name, x, &bias)
    }

    /// As [`Layers::conv`], with another bias than the file's.
    pub fn conv_with_bias(&mut self, name: &str, x: &Value, bias: &[f32]) -> Value {
        let tensor = &self.weights[&format!("{name}.weight")];
        let (size, w) = (tensor.shape[2], self.weight(&format!("{name}.weight")));
        let b = self.graph.tensor(&format!("{name}.bias"), &[bias.len()], bias);
        self.conv_of(x, &w, &b, size, bias.len())
    }

    fn conv_of(&mut self, x: &Value, w: &str, b: &str, size: usize, out: usize) -> Value {
        let (size, pad) = (size as i64, size as i64 / 2);
        let attributes =
            [("kernel_shape", Attribute::Ints(&[size, size])), ("pads", Attribute::Ints(&[pad, pad, pad, pad]))];
        self.graph.node("Conv", &[&x.name, w, b], &attributes, &[out, x.shape[1], x.shape[2]])
    }

    /// `x sigmoid(x)`
    pub fn silu(&mut self, x: &Value) -> Value {
        let gate = self.graph.pointwise("Sigmoid", x, &[]);
        self.graph.pointwise("Mul", x, &[&gate.name])
    }

    /// Group normalisation with the scale and shift of the file.
    pub fn group_norm(&mut self, name: &str, x: &Value, eps: f32) -> Value {
        let (scale, shift) = (self.vector(&format!("{name}.weight")), self.vector(&format!("{name}.bias")));
        self.group_norm_with(name, x, eps, &scale, &shift)
    }

    /// Group normalisation with any scale and shift per channel. There is an operator of that name
    /// since opset 18, but runtimes take it apart; this form is the usual one and stays whole.
    pub fn group_norm_with(&mut self, name: &str, x: &Value, eps: f32, scale: &[f32], shift: &[f32]) -> Value {
        let g = groups(x.shape[0]);
        let grouped = self.graph.reshape(x, &[g, x.shape.iter().product::<usize>() / g]);
        let one = self.graph.tensor(&format!("ones {g}"), &[g], &vec![1.0; g]);
        let zero = self.graph.tensor(&format!("zeros {g}"), &[g], &vec![0.0; g]);
        let eps = [("epsilon", Attribute::Float(eps))];
        let normed = self.graph.node("InstanceNormalization", &[&grouped.name, &one, &zero], &eps, &grouped.shape);
        let normed = self.graph.reshape(&normed, &x.shape);
        let scale = self.graph.tensor(&format!("{name}.weight"), &[scale.len(), 1, 1], scale);
        let shift = self.graph.tensor(&format!("{name}.bias"), &[shift.len(), 1, 1], shift);
        let scaled = self.graph.pointwise("Mul", &normed, &[&scale]);
        self.graph.pointwise("Add", &scaled, &[&shift])
    }

    /// Self-attention over pixels, without the residual.
    pub fn attention(&mut self, name: &str, x: &Value, heads: usize, eps: f32) -> Value {
        let [c, h, w] = x.shape[..] else { unreachable!("attention is over the pixels of an image") };
        let (t, d) = (h * w, c / heads);
        let normed = self.group_norm(&format!("{name}.norm2"), x, eps);
        // A file has q, k and v of a channel side by side; apart, they are three slices.
        let apart = |values: &[f32]| {
            let row = values.len() / (3 * c);
            let rows = (0..3 * c).map(|i| i % c * 3 + i / c);
            rows.flat_map(|i| values[i * row..(i + 1) * row].iter().copied()).collect::<Vec<f32>>()
        };
        let weight = apart(&self.vector(&format!("{name}.qkv.weight")));
        let weight = self.graph.tensor(&format!("{name}.qkv.weight"), &[3 * c, c, 1, 1], &weight);
        let bias = apart(&self.vector(&format!("{name}.qkv.bias")));
        let bias = self.graph.tensor(&format!("{name}.qkv.bias"), &[3 * c], &bias);
        let qkv = self.conv_of(&normed, &weight, &bias, 1, 3 * c);
        let axis = [("axis", Attribute::Int(1))];
        let parts = self.graph.node_of_many("Split", &[&qkv.name], &axis, &[c, h, w], 3);
        let parts: Vec<Value> = parts.iter().map(|part| self.graph.reshape(part, &[heads, d, t])).collect();
        let q = self.graph.transpose(&parts[0], &[1, 3, 2]);
        let v = self.graph.transpose(&parts[2], &[1, 3, 2]);
        let scale = self.graph.number(1.0 / (d as f32).sqrt());
        let q = self.graph.pointwise("Mul", &q, &[&scale]);
        let scores = self.graph.node("MatMul", &[&q.name, &parts[1].name], &[], &[heads, t, t]);
        let shares = self.graph.node("Softmax", &[&scores.name], &[("axis", Attribute::Int(-1))], &[heads, t, t]);
        let mixed = self.graph.node("MatMul", &[&shares.name, &v.name], &[], &[heads, t, d]);
        let mixed = self.graph.transpose(&mixed, &[1, 3, 2]);
        let mixed = self.graph.reshape(&mixed, &[c, h, w]);
        self.conv(&format!("{name}.proj"), &mixed)
    }

    /// Channels of `x`, then those of `y`.
    pub fn concat(&mut self, x: &Value, y: &Value) -> Value {
        let shape: Vec<usize> = std::iter::once(x.shape[0] + y.shape[0]).chain(x.shape[1..].iter().copied()).collect();
        self.graph.node("Concat", &[&x.name, &y.name], &[("axis", Attribute::Int(1))], &shape)
    }

    /// Mean over 2 x 2 pixels.
    pub fn downsample2(&mut self, x: &Value) -> Value {
        let attributes = [("kernel_shape", Attribute::Ints(&[2, 2])), ("strides", Attribute::Ints(&[2, 2]))];
        self.graph.node("AveragePool", &[&x.name], &attributes, &[x.shape[0], x.shape[1] / 2, x.shape[2] / 2])
    }

    /// Every pixel twice in each direction.
    pub fn upsample2(&mut self, x: &Value) -> Value {
        let scales = self.graph.tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = [
            ("mode", Attribute::Text("nearest")),
            ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
            ("nearest_mode", Attribute::Text("floor")),
        ];
        // The empty name leaves out the region of interest.
        self.graph.node("Resize", &[&x.name, "", &scales], &attributes, &[x.shape[0], 2 * x.shape[1], 2 * x.shape[2]])
    }

    /// Every `p x p` patch as one pixel, the place in the patch before the channel.
    pub fn patchify(&mut self, x: &Value, p: usize) -> Value {
        let [c, h, w] = x.shape[..] else { unreachable!("patches are cut from images") };
        if p == 1 {
            return x.clone();
        }
        // Not SpaceToDepth: not every back end has it, and one that lacks it copies the image to and fro.
        let split = self.graph.reshape(x, &[c, h / p, p, w / p, p]);
        let moved = self.graph.transpose(&split, &[3, 5, 1, 2, 4]);
        self.graph.reshape(&moved, &[p * p * c, h / p, w / p])
    }

    /// Inverse of [`Layers::patchify`].
    pub fn unpatchify(&mut self, x: &Value, p: usize) -> Value {
        let [c, h, w] = x.shape[..] else { unreachable!("patches make images") };
        if p == 1 {
            return x.clone();
        }
        let blocks = [("blocksize", Attribute::Int(p as i64)), ("mode", Attribute::Text("DCR"))];
        self.graph.node("DepthToSpace", &[&x.name], &blocks, &[c / (p * p), h * p, w * p])
    }
}
