//! Reverse-mode differentiation as a graph transform.
//!
//! The adjoint of every operator is written in operators of the same set, so the result can be
//! differentiated again: an R1 penalty or a Jacobian-vector product needs nothing more.

use super::{BinaryOp, Graph, Op, UnaryOp, Var};

impl Graph {
    /// Gradients of `loss` (one element) with respect to each of `wrt`, with their shapes.
    /// A variable that the loss does not depend on has gradient 0.
    pub fn grad<'g>(&'g self, loss: Var<'g>, wrt: &[Var<'g>]) -> Vec<Var<'g>> {
        if loss.len() != 1 {
            self.fail("grad", "loss", "one element".into(), loss.shape());
        }
        self.vjp(&[(loss, self.full(1.0, &loss.shape()))], wrt)
    }

    /// Vector-Jacobian product: the gradient of the sum of `output * cotangent` over the pairs.
    pub fn vjp<'g>(&'g self, outputs: &[(Var<'g>, Var<'g>)], wrt: &[Var<'g>]) -> Vec<Var<'g>> {
        let end = outputs.iter().map(|(y, _)| y.id + 1).max().unwrap_or(0);
        let depends = self.depends_on(wrt, end);
        let mut cotangents: Vec<Option<Var<'g>>> = vec![None; end];
        for &(y, d_y) in outputs {
            if d_y.shape() != y.shape() {
                self.fail("vjp", "cotangent", format!("{:?}", y.shape()), d_y.shape());
            }
            add(&mut cotangents[y.id], d_y);
        }
        for id in (0..end).rev() {
            let Some(d_y) = cotangents[id] else { continue };
            if !depends[id] || wrt.iter().any(|w| w.id == id) {
                continue;
            }
            let node = self.var(id).node();
            let label = format!("grad {}", node.label.trim_start_matches("grad "));
            self.labelled(label, || {
                for (position, &input) in node.inputs.iter().enumerate() {
                    if depends[input]
                        && let Some(d) = self.adjoint(self.var(id), position, d_y)
                    {
                        add(&mut cotangents[input], d);
                    }
                }
            });
        }
        let zero = |w: &Var<'g>| self.full(0.0, &w.shape());
        wrt.iter().map(|w| cotangents.get(w.id).copied().flatten().unwrap_or_else(|| zero(w))).collect()
    }

    /// Jacobian-vector product: how `y` changes along the tangents `(x, v)`, each of the shape of its variable, which are
    /// taken as independent of each other.
    ///
    /// A vector-Jacobian product is linear in its cotangent; its own product with the tangents gives this one. The
    /// cotangent drops out, so no plan reads the store that stands for it.
    pub fn jvp<'g>(&'g self, y: Var<'g>, tangents: &[(Var<'g>, Var<'g>)]) -> Var<'g> {
        let cotangent = self.input("jvp", 0, &y.shape());
        let variables: Vec<_> = tangents.iter().map(|(x, _)| *x).collect();
        let pulled = self.vjp(&[(y, cotangent)], &variables);
        let pairs: Vec<_> = pulled.into_iter().zip(tangents).map(|(pulled, (_, v))| (pulled, *v)).collect();
        self.vjp(&pairs, &[cotangent])[0]
    }

    /// Which of the first `end` nodes depend on one of `wrt` through differentiable operators.
    fn depends_on(&self, wrt: &[Var<'_>], end: usize) -> Vec<bool> {
        let nodes = self.nodes();
        let mut depends = vec![false; end];
        for id in 0..end {
            let node = &nodes[id];
            let blocked = matches!(
                node.op,
                Op::Detach
                    | Op::Unary(UnaryOp::Sign | UnaryOp::Floor)
                    | Op::Binary(BinaryOp::Less)
                    | Op::GatherBytes { .. }
            );
            depends[id] = wrt.iter().any(|w| w.id == id) || (!blocked && node.inputs.iter().any(|&i| depends[i]));
        }
        depends
    }

    /// The cotangent of operand `position` of node `y`, given the cotangent of `y`.
    fn adjoint<'g>(&'g self, y: Var<'g>, position: usize, d_y: Var<'g>) -> Option<Var<'g>> {
        let node = y.node();
        let operand = |i: usize| self.var(node.inputs[i]);
        let x = operand(position);
        let shape = x.shape();
        Some(match &node.op {
            Op::Unary(op) => unary_adjoint(*op, x, y, d_y)?,
            Op::Binary(op) => binary_adjoint(*op, position, operand(0), operand(1), d_y)?,
            Op::Reshape => d_y.reshape(&shape),
            Op::Permute(perm) => {
                let mut inverse = vec![0; perm.len()];
                for (i, &p) in perm.iter().enumerate() {
                    inverse[p] = i;
                }
                d_y.permute(&inverse)
            }
            Op::Broadcast => {
                let axes: Vec<usize> = (0..shape.len()).filter(|&a| shape[a] != node.shape[a]).collect();
                d_y.sum(&axes)
            }
            Op::Slice { axis, start } => d_y.pad(*axis, *start, shape[*axis] - start - node.shape[*axis]),
            Op::Pad { axis, before } => d_y.slice(*axis, *before..*before + shape[*axis]),
            Op::Sum(_) => d_y.broadcast(&shape),
            Op::Moments { axes, .. } => moments_adjoint(x, y, axes, d_y),
            Op::MatMul { ta, tb } => match (position, ta, tb) {
                (0, false, _) => d_y.matmul_with(operand(1), false, !tb),
                (0, true, _) => operand(1).matmul_with(d_y, *tb, true),
                (_, _, false) => operand(0).matmul_with(d_y, !ta, false),
                (_, _, true) => d_y.matmul_with(operand(0), true, *ta),
            },
            // The three convolutions are the three ways to contract one trilinear form.
            Op::Conv2d if position == 0 => d_y.conv2d_grad_input(operand(1)),
            Op::Conv2d => operand(0).conv2d_grad_weight(d_y, shape[0]),
            Op::Conv2dGradInput if position == 0 => d_y.conv2d(operand(1)),
            Op::Conv2dGradInput => d_y.conv2d_grad_weight(operand(0), shape[0]),
            Op::Conv2dGradWeight if position == 0 => operand(1).conv2d_grad_input(d_y),
            Op::Conv2dGradWeight => operand(0).conv2d(d_y),
            Op::Softmax => {
                let last = shape.len() - 1;
                y * (d_y - (d_y * y).sum(&[last]))
            }
            Op::Gather if position == 0 => d_y.scatter_add(operand(1), shape[0]),
            Op::ScatterAdd if position == 0 => d_y.gather(operand(1)),
            Op::Gather | Op::ScatterAdd | Op::GatherBytes { .. } => return None,
            Op::Input(_) | Op::Const(_) | Op::Scalar(_) | Op::Random { .. } | Op::Iota | Op::Detach => return None,
        })
    }
}

fn add<'g>(sum: &mut Option<Var<'g>>, term: Var<'g>) {
    *sum = Some(sum.map_or(term, |s| s + term));
}

fn unary_adjoint<'g>(op: UnaryOp, x: Var<'g>, y: Var<'g>, d_y: Var<'g>) -> Option<Var<'g>> {
    Some(match op {
        UnaryOp::Neg => -d_y,
        UnaryOp::Exp => d_y * y,
        UnaryOp::Log => d_y / x,
        UnaryOp::Sqrt => d_y * 0.5 / y,
        UnaryOp::Recip => -(d_y * y * y),
        UnaryOp::Sigmoid => d_y * (y * (1.0 - y)),
        UnaryOp::Softplus => d_y * x.sigmoid(),
        UnaryOp::Sin => d_y * x.cos(),
        UnaryOp::Cos => -(d_y * x.sin()),
        UnaryOp::Abs => d_y * x.sign(),
        UnaryOp::Sign | UnaryOp::Floor => return None,
    })
}

fn binary_adjoint<'g>(op: BinaryOp, position: usize, a: Var<'g>, b: Var<'g>, d_y: Var<'g>) -> Option<Var<'g>> {
    Some(match (op, position) {
        (BinaryOp::Add, _) | (BinaryOp::Sub, 0) => d_y,
        (BinaryOp::Sub, _) => -d_y,
        (BinaryOp::Mul, 0) => d_y * b,
        (BinaryOp::Mul, _) => d_y * a,
        (BinaryOp::Div, 0) => d_y / b,
        (BinaryOp::Div, _) => -(d_y * a / (b * b)),
        // Where both are equal the second operand takes the whole gradient.
        (BinaryOp::Max, 0) => d_y * b.less(a),
        (BinaryOp::Max, _) => d_y * (1.0 - b.less(a)),
        (BinaryOp::Min, 0) => d_y * a.less(b),
        (BinaryOp::Min, _) => d_y * (1.0 - a.less(b)),
        (BinaryOp::Less, _) => return None,
    })
}

/// `d mean / dx = 1 / n` and `d rstd / dx = -rstd^3 (x - mean) / n`.
fn moments_adjoint<'g>(x: Var<'g>, y: Var<'g>, axes: &[bool], d_y: Var<'g>) -> Var<'g> {
    let shape = x.shape();
    let last = shape.len();
    let kept = &y.shape()[..last];
    let part = |v: Var<'g>, i: usize| v.slice(last, i..i + 1).reshape(kept);
    let n: usize = shape.iter().zip(axes).filter(|(_, a)| **a).map(|(n, _)| *n).product();
    let (mean, rstd) = (part(y, 0), part(y, 1));
    let (d_mean, d_rstd) = (part(d_y, 0), part(d_y, 1));
    let slope = d_rstd * (rstd * rstd * rstd) * (-1.0 / n as f32);
    d_mean * (1.0 / n as f32) + slope * (x - mean)
}
