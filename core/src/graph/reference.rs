//! The graph by plain f64 loops: slow, obvious, and the oracle of every gradient and plan test.

use std::collections::HashMap;

use super::{BinaryOp, Distribution, Graph, Node, Op, UnaryOp, Var};
use crate::random;

/// What a reference run reads.
#[derive(Default)]
pub struct Feed {
    /// Content of the stores.
    pub stores: HashMap<String, Vec<f64>>,
    /// Values of the scalars.
    pub scalars: HashMap<String, f64>,
    /// First word of every random key.
    pub seed: u32,
    /// First word of per-step counters.
    pub step: u32,
}

/// The values of `wanted`, in row-major order.
pub fn evaluate(graph: &Graph, feed: &Feed, wanted: &[Var<'_>]) -> Vec<Vec<f64>> {
    let nodes = graph.nodes();
    let mut needed = vec![false; nodes.len()];
    for var in wanted {
        needed[var.id()] = true;
    }
    for id in (0..nodes.len()).rev() {
        if needed[id] {
            for &input in &nodes[id].inputs {
                needed[input] = true;
            }
        }
    }
    let mut values: Vec<Vec<f64>> = Vec::with_capacity(nodes.len());
    for (id, node) in nodes.iter().enumerate() {
        let value = if needed[id] { evaluate_node(node, &nodes, &values, feed) } else { Vec::new() };
        values.push(value);
    }
    wanted.iter().map(|v| values[v.id()].clone()).collect()
}

/// `op(x)` in f64.
pub(crate) fn unary(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.clamp(-87.0, 88.0).exp(),
        UnaryOp::Log => x.max(1e-38).ln(),
        UnaryOp::Sqrt => x.max(0.0).sqrt(),
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        UnaryOp::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign => f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        UnaryOp::Floor => x.floor(),
    }
}

/// `op(a, b)` in f64.
pub(crate) fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
        BinaryOp::Less => f64::from(u8::from(a < b)),
    }
}

/// Every point of a row-major iteration space, in order.
fn points(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..shape.iter().product()).map(|i| unravel(i, shape))
}

fn unravel(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut point = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        point[d] = i % shape[d];
        i /= shape[d];
    }
    point
}

fn ravel(point: &[usize], shape: &[usize]) -> usize {
    point.iter().zip(shape).fold(0, |i, (p, n)| i * n + p)
}

fn evaluate_node(node: &Node, nodes: &[Node], values: &[Vec<f64>], feed: &Feed) -> Vec<f64> {
    let shape = &node.shape[..];
    let len: usize = shape.iter().product();
    let value = |i: usize| &values[node.inputs[i]][..];
    let from = |i: usize| &nodes[node.inputs[i]].shape[..];
    match &node.op {
        Op::Input(place) => feed.stores[&place.store][place.offset..place.offset + len].to_vec(),
        Op::Const(c) => vec![f64::from(*c); len],
        Op::Scalar(name) => vec![feed.scalars[name]; len],
        Op::Random { distribution, stream, per_step, first } => {
            let step = if *per_step { feed.step } else { 0 };
            (*first as u32..(first + len) as u32)
                .map(|i| {
                    let bits = random::threefry2x32([feed.seed, *stream], [step, i]);
                    f64::from(match distribution {
                        Distribution::Uniform => random::uniform(bits[0]),
                        Distribution::Normal => random::normal(bits)[0],
                    })
                })
                .collect()
        }
        Op::Iota => (0..len).map(|i| i as f64).collect(),
        Op::Detach | Op::Reshape => value(0).to_vec(),
        Op::Unary(op) => value(0).iter().map(|&x| unary(*op, x)).collect(),
        Op::Binary(op) => value(0).iter().zip(value(1)).map(|(&a, &b)| binary(*op, a, b)).collect(),
        Op::Permute(perm) => points(shape)
            .map(|p| {
                let mut source = vec![0; p.len()];
                for (i, &axis) in perm.iter().enumerate() {
                    source[axis] = p[i];
                }
                value(0)[ravel(&source, from(0))]
            })
            .collect(),
        Op::Broadcast => points(shape)
            .map(|p| {
                let source: Vec<usize> = p.iter().zip(from(0)).map(|(&p, &n)| if n == 1 { 0 } else { p }).collect();
                value(0)[ravel(&source, from(0))]
            })
            .collect(),
        Op::Slice { axis, start } => points(shape)
            .map(|mut p| {
                p[*axis] += start;
                value(0)[ravel(&p, from(0))]
            })
            .collect(),
        Op::Pad { axis, before } => points(shape)
            .map(|mut p| match p[*axis].checked_sub(*before) {
                Some(inside) if inside < from(0)[*axis] => {
                    p[*axis] = inside;
                    value(0)[ravel(&p, from(0))]
                }
                _ => 0.0,
            })
            .collect(),
        Op::Sum(axes) => {
            let mut out = vec![0.0; len];
            for (p, x) in points(from(0)).zip(value(0)) {
                out[kept(&p, axes, shape)] += x;
            }
            out
        }
        Op::Moments { axes, eps } => moments(value(0), from(0), axes, *eps, &shape[..shape.len() - 1]),
        Op::MatMul { ta, tb } => {
            let k = if *ta { from(0)[1] } else { from(0)[2] };
            let (m, n) = (shape[1], shape[2]);
            points(shape)
                .map(|p| {
                    let (g, i, j) = (p[0], p[1], p[2]);
                    let a = |q: usize| value(0)[g * m * k + if *ta { q * m + i } else { i * k + q }];
                    let b = |q: usize| value(1)[g * k * n + if *tb { j * k + q } else { q * n + j }];
                    (0..k).map(|q| a(q) * b(q)).sum()
                })
                .collect()
        }
        Op::Conv2d => {
            let mut out = vec![0.0; len];
            conv_terms(from(0), from(1), |x, w, y| out[y] += value(0)[x] * value(1)[w]);
            out
        }
        Op::Conv2dGradInput => {
            let mut out = vec![0.0; len];
            conv_terms(shape, from(1), |x, w, y| out[x] += value(0)[y] * value(1)[w]);
            out
        }
        Op::Conv2dGradWeight => {
            let mut out = vec![0.0; len];
            conv_terms(from(0), shape, |x, w, y| out[w] += value(0)[x] * value(1)[y]);
            out
        }
        Op::Softmax => value(0)
            .chunks(*shape.last().expect("softmax has an axis"))
            .flat_map(|row| {
                let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = row.iter().map(|x| (x - top).exp()).sum();
                row.iter().map(move |x| (x - top).exp() / total).collect::<Vec<_>>()
            })
            .collect(),
        Op::Gather => {
            let width = shape[1];
            value(1).iter().flat_map(|&i| value(0)[i as usize * width..][..width].to_vec()).collect()
        }
        Op::ScatterAdd => {
            let width = shape[1];
            let mut out = vec![0.0; len];
            for (row, &i) in value(1).iter().enumerate() {
                for e in 0..width {
                    out[i as usize * width + e] += value(0)[row * width + e];
                }
            }
            out
        }
        Op::GatherBytes { .. } => {
            // The reference keeps a store of bytes as one number per byte.
            let Op::Input(place) = &nodes[node.inputs[0]].op else { panic!("bytes come from a store") };
            let bytes = &feed.stores[&place.store];
            let width = shape[1];
            value(1).iter().flat_map(|&i| bytes[i as usize * width..][..width].to_vec()).collect()
        }
    }
}

fn kept(point: &[usize], axes: &[bool], shape: &[usize]) -> usize {
    let kept: Vec<usize> = point.iter().zip(axes).map(|(&p, &summed)| if summed { 0 } else { p }).collect();
    ravel(&kept, shape)
}

fn moments(x: &[f64], from: &[usize], axes: &[bool], eps: f32, shape: &[usize]) -> Vec<f64> {
    let groups: usize = shape.iter().product();
    let n = (x.len() / groups) as f64;
    let (mut mean, mut variance) = (vec![0.0; groups], vec![0.0; groups]);
    for (p, x) in points(from).zip(x) {
        mean[kept(&p, axes, shape)] += x / n;
    }
    for (p, x) in points(from).zip(x) {
        let group = kept(&p, axes, shape);
        variance[group] += (x - mean[group]).powi(2) / n;
    }
    mean.iter().zip(&variance).flat_map(|(m, v)| [*m, 1.0 / (v + f64::from(eps)).sqrt()]).collect()
}

/// Calls `term(x, w, y)` with the three indices of every product in a convolution of `x` with `w`.
fn conv_terms(x: &[usize], w: &[usize], mut term: impl FnMut(usize, usize, usize)) {
    let (k, co) = (w[0], w[3]);
    for p in points(x) {
        let (b, row, col, ci) = (p[0], p[1], p[2], p[3]);
        for dy in 0..k {
            for dx in 0..k {
                // The output pixel that reads this input pixel through tap (dy, dx).
                let (Some(oy), Some(ox)) = ((row + k / 2).checked_sub(dy), (col + k / 2).checked_sub(dx)) else {
                    continue;
                };
                if oy >= x[1] || ox >= x[2] {
                    continue;
                }
                for c in 0..co {
                    term(ravel(&p, x), ravel(&[dy, dx, ci, c], w), ravel(&[b, oy, ox, c], &[x[0], x[1], x[2], co]));
                }
            }
        }
    }
}
