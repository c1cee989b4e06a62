//! Simplification as nodes are made: no pass has to clean up behind a builder.
//!
//! Each rule keeps the value exactly, up to the order of float additions of zero.

use super::{BinaryOp, Graph, Op, UnaryOp, Var};

impl Graph {
    /// Adds the node, or something simpler that has the same value.
    pub(super) fn simplified(&self, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> Var<'_> {
        self.rewrite(&op, &inputs, &shape).unwrap_or_else(|| self.intern(op, inputs, shape))
    }

    /// The number that a node is everywhere, if it is one.
    fn uniform_value(&self, id: usize) -> Option<f32> {
        let nodes = self.nodes();
        let mut node = &nodes[id];
        while matches!(node.op, Op::Broadcast | Op::Reshape | Op::Detach | Op::Permute(_)) {
            node = &nodes[node.inputs[0]];
        }
        if let Op::Const(value) = node.op { Some(value) } else { None }
    }

    fn rewrite(&self, op: &Op, inputs: &[usize], shape: &[usize]) -> Option<Var<'_>> {
        let x = self.var(*inputs.first()?);
        let inner = x.node();
        let below = || self.var(inner.inputs[0]);
        match op {
            Op::Binary(op) => self.rewrite_binary(*op, inputs, shape),
            Op::Unary(UnaryOp::Neg) if inner.op == Op::Unary(UnaryOp::Neg) => Some(below()),
            Op::Unary(op) => {
                Some(self.full(super::reference::unary(*op, self.uniform_value(x.id)?.into()) as f32, shape))
            }
            Op::Detach if matches!(inner.op, Op::Detach | Op::Const(_) | Op::Scalar(_) | Op::Random { .. }) => Some(x),
            Op::Reshape if inner.shape == shape => Some(x),
            Op::Reshape if inner.op == Op::Reshape => Some(below().reshape(shape)),
            Op::Broadcast if inner.shape == shape => Some(x),
            Op::Broadcast if inner.op == Op::Broadcast && below().rank() == shape.len() => {
                Some(below().broadcast(shape))
            }
            Op::Permute(perm) if perm.iter().enumerate().all(|(i, &p)| i == p) => Some(x),
            Op::Permute(perm) => match &inner.op {
                Op::Permute(first) => Some(below().permute(&perm.iter().map(|&p| first[p]).collect::<Vec<_>>())),
                _ => None,
            },
            Op::Sum(axes) => {
                let counts = axes.iter().zip(&inner.shape).filter(|(a, _)| **a).map(|(_, n)| *n);
                if counts.clone().all(|n| n == 1) {
                    return Some(x);
                }
                if let Some(value) = self.uniform_value(x.id) {
                    return Some(self.full(value * counts.product::<usize>() as f32, shape));
                }
                None
            }
            Op::Slice { axis, start } => self.rewrite_slice(x, *axis, *start, shape[*axis]),
            Op::Pad { .. } if inner.shape == shape => Some(x),
            _ => None,
        }
    }

    fn rewrite_binary(&self, op: BinaryOp, inputs: &[usize], shape: &[usize]) -> Option<Var<'_>> {
        let (a, b) = (self.var(inputs[0]), self.var(inputs[1]));
        match (op, self.uniform_value(a.id), self.uniform_value(b.id)) {
            (_, Some(x), Some(y)) => Some(self.full(super::reference::binary(op, x.into(), y.into()) as f32, shape)),
            (BinaryOp::Add, Some(0.0), _) | (BinaryOp::Mul, Some(1.0), _) => Some(b),
            (BinaryOp::Add | BinaryOp::Sub, _, Some(0.0)) | (BinaryOp::Mul | BinaryOp::Div, _, Some(1.0)) => Some(a),
            (BinaryOp::Mul, Some(0.0), _) | (BinaryOp::Mul | BinaryOp::Div, _, Some(0.0)) if op == BinaryOp::Mul => {
                Some(self.full(0.0, shape))
            }
            (BinaryOp::Sub, Some(0.0), _) => Some(-b),
            _ => None,
        }
    }

    /// A slice of a pad on the same axis is the operand, a part of it, or zero; a slice of a sum
    /// of pads is a sum of slices. This undoes `concat`, and the two halves of `moments`.
    fn rewrite_slice<'g>(&'g self, x: Var<'g>, axis: usize, start: usize, len: usize) -> Option<Var<'g>> {
        let node = x.node();
        if node.shape[axis] == len {
            return Some(x);
        }
        let is_pad = |id: usize| matches!(self.nodes()[id].op, Op::Pad { axis: a, .. } if a == axis);
        match node.op {
            Op::Pad { axis: padded, before } if padded == axis => {
                let inner = self.var(node.inputs[0]);
                let size = inner.shape()[axis];
                if start >= before && start + len <= before + size {
                    Some(inner.slice(axis, start - before..start - before + len))
                } else if start + len <= before || start >= before + size {
                    let mut shape = node.shape;
                    shape[axis] = len;
                    Some(self.full(0.0, &shape))
                } else {
                    None
                }
            }
            Op::Binary(BinaryOp::Add) if node.inputs.iter().any(|&i| is_pad(i)) => {
                let part = |i: usize| self.var(node.inputs[i]).slice(axis, start..start + len);
                Some(part(0) + part(1))
            }
            _ => None,
        }
    }
}
