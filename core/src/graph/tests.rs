//! Every operator's gradient against central differences in f64, and the gradient's gradient.

use super::reference::{Feed, evaluate};
use super::{Graph, Var, concat};
use crate::random;

/// Deterministic values in about [-1.5, 1.5] that keep clear of the kinks of `abs`, `max` and `floor`.
fn values(seed: u32, len: usize) -> Vec<f64> {
    (0..len as u32)
        .map(|i| {
            let u = f64::from(random::uniform(random::threefry2x32([seed, 77], [0, i])[0]));
            let v = 3.0 * u - 1.5;
            if v.abs() < 0.05 { v + 0.1 } else { v }
        })
        .collect()
}

fn feed(shapes: &[&[usize]]) -> Feed {
    let mut feed = Feed::default();
    for (i, shape) in shapes.iter().enumerate() {
        feed.stores.insert(format!("x{i}"), values(i as u32, shape.iter().product()));
    }
    feed
}

/// Compares `grad` of a scalar function of inputs of the given shapes with central differences.
fn check(shapes: &[&[usize]], f: impl for<'g> Fn(&'g Graph, &[Var<'g>]) -> Var<'g>) {
    let graph = Graph::new();
    let inputs: Vec<Var<'_>> = shapes.iter().enumerate().map(|(i, s)| graph.input(&format!("x{i}"), 0, s)).collect();
    let y = f(&graph, &inputs);
    let grads = graph.grad(y, &inputs);
    graph.check().expect("the graph is well formed");
    let mut feed = feed(shapes);
    let analytic = evaluate(&graph, &feed, &grads);
    let mut largest: f64 = 0.0;
    for (i, shape) in shapes.iter().enumerate() {
        assert_eq!(grads[i].shape(), *shape, "a gradient has the shape of its variable");
        for (e, &slope) in analytic[i].iter().enumerate() {
            let name = format!("x{i}");
            let mut at = |delta: f64| {
                feed.stores.get_mut(&name).unwrap()[e] += delta;
                evaluate(&graph, &feed, &[y])[0][0]
            };
            let h = 1e-5;
            let up = at(h);
            let down = at(-2.0 * h);
            at(h);
            let numeric = (up - down) / (2.0 * h);
            let error = (numeric - slope).abs();
            largest = largest.max(slope.abs());
            let tolerance = 1e-6 * (1.0 + numeric.abs());
            assert!(error <= tolerance, "input {i} element {e}: numeric {numeric}, analytic {slope}");
        }
    }
    assert!(largest > 1e-3, "a gradient of zero proves nothing");
}

/// A scalar that depends on every element in a different way.
fn mix(y: Var<'_>) -> Var<'_> {
    let weights = y.graph().iota(y.len()).reshape(&y.shape()) * 0.37;
    (y * weights.sin() + 0.1 * y.square()).sum_all()
}

#[test]
fn unary_gradients_match_finite_differences() {
    check(&[&[7]], |_, x| mix(-x[0]));
    check(&[&[7]], |_, x| mix(x[0].exp()));
    check(&[&[7]], |_, x| mix((x[0].square() + 0.5).log()));
    check(&[&[7]], |_, x| mix((x[0].square() + 0.5).sqrt()));
    check(&[&[7]], |_, x| mix((x[0] + 3.0).recip()));
    check(&[&[7]], |_, x| mix(x[0].sigmoid()));
    check(&[&[7]], |_, x| mix((3.0 * x[0]).softplus()));
    check(&[&[7]], |_, x| mix((2.0 * x[0]).sin() + x[0].cos()));
    check(&[&[7]], |_, x| mix(x[0].abs()));
    check(&[&[7]], |_, x| mix(x[0].silu()));
    check(&[&[7]], |_, x| mix(x[0].clamp(-0.7, 0.9)));
}

#[test]
fn binary_gradients_match_finite_differences_under_broadcasting() {
    check(&[&[2, 3], &[3]], |_, x| mix(x[0] + x[1]));
    check(&[&[2, 1], &[1, 3]], |_, x| mix(x[0] - x[1]));
    check(&[&[2, 3], &[]], |_, x| mix(x[0] * x[1]));
    check(&[&[2, 3], &[2, 1]], |_, x| mix(x[0] / (x[1].square() + 1.0)));
    check(&[&[2, 3], &[2, 3]], |_, x| mix(x[0].max(x[1]) + 2.0 * x[0].min(x[1])));
}

#[test]
fn movement_gradients_match_finite_differences() {
    check(&[&[2, 3, 4]], |_, x| mix(x[0].reshape(&[6, 4]).permute(&[1, 0]).reshape(&[3, 8])));
    check(&[&[2, 3, 4]], |_, x| mix(x[0].slice(1, 1..3).pad(2, 1, 2)));
    check(&[&[2, 3], &[2, 2]], |_, x| mix(concat(&[x[0], x[1].exp()], 1)));
    check(&[&[1, 2, 2, 3]], |_, x| mix(x[0].upsample2()));
    check(&[&[1, 4, 2, 3]], |_, x| mix(x[0].downsample2()));
}

#[test]
fn reduction_gradients_match_finite_differences() {
    check(&[&[2, 3, 4]], |_, x| mix(x[0].sum(&[1])));
    check(&[&[2, 3, 4]], |_, x| mix(x[0].mean(&[0, 2])));
    check(&[&[2, 3, 4]], |_, x| mix(x[0].moments(&[0, 2], 1e-5)));
    check(&[&[2, 2, 2, 2, 3]], |_, x| mix(x[0].normalize(&[1, 2, 4], 1e-5)));
    check(&[&[3, 5]], |_, x| mix(x[0].softmax()));
}

#[test]
fn contraction_gradients_match_finite_differences() {
    check(&[&[3, 4], &[4, 2]], |_, x| mix(x[0].matmul(x[1])));
    check(&[&[2, 3, 4], &[2, 5, 4]], |_, x| mix(x[0].matmul_with(x[1], false, true)));
    check(&[&[2, 4, 3], &[2, 4, 5]], |_, x| mix(x[0].matmul_with(x[1], true, false)));
    check(&[&[2, 4, 3], &[2, 5, 4]], |_, x| mix(x[0].matmul_with(x[1], true, true)));
    check(&[&[2, 3, 4, 2], &[3, 3, 2, 3]], |_, x| mix(x[0].conv2d(x[1])));
    check(&[&[2, 3, 2, 3], &[1, 1, 3, 2]], |_, x| mix(x[0].conv2d(x[1])));
}

#[test]
fn gather_gradients_match_finite_differences() {
    check(&[&[4, 3]], |g, x| mix(x[0].gather((g.iota(5) * 1.3).floor().min(g.constant(3.0)))));
}

/// Each check differentiates a gradient: the loss contains `grad` itself.
#[test]
fn second_derivatives_match_finite_differences() {
    fn penalty<'g>(g: &'g Graph, y: Var<'g>, x: Var<'g>) -> Var<'g> {
        g.grad(mix(y), &[x])[0].square().sum_all()
    }
    check(&[&[5]], |g, x| penalty(g, x[0].silu() + x[0].exp(), x[0]));
    check(&[&[3, 5]], |g, x| penalty(g, x[0].softmax(), x[0]));
    check(&[&[2, 3, 4]], |g, x| penalty(g, x[0].normalize(&[0, 2], 1e-5), x[0]));
    check(&[&[1, 3, 3, 2], &[3, 3, 2, 2]], |g, x| penalty(g, x[0].conv2d(x[1]).silu(), x[0]));
    check(&[&[1, 3, 3, 2], &[3, 3, 2, 2]], |g, x| penalty(g, x[0].conv2d(x[1]).silu(), x[1]));
    check(&[&[3, 4], &[4, 2]], |g, x| penalty(g, x[0].matmul(x[1]).silu(), x[1]));
    check(&[&[4, 3]], |g, x| penalty(g, x[0].gather((g.iota(5) * 0.7).floor()).exp(), x[0]));
}

/// R1 penalty of a small network with convolution, norm, activation and head: its parameters'
/// gradient passes through the second derivative of every operator in it.
#[test]
fn r1_penalty_gradient_matches_finite_differences() {
    check(&[&[2, 2, 2, 2], &[3, 3, 2, 4], &[4], &[1, 4]], |g, x| {
        let h = x[0].conv2d(x[1]);
        let h = h.reshape(&[2, 4, 2, 2]).normalize(&[1, 3], 1e-5).reshape(&[2, 2, 2, 4]) * x[2];
        let logit = h.silu().mean(&[1, 2]).reshape(&[2, 4]).matmul_with(x[3], false, true);
        g.grad(logit.sum_all(), &[x[0]])[0].square().sum_all()
    });
}

/// Along a tangent of each variable, through every kind of operator that a network has; and the cotangent of the two
/// products that it is made of is nowhere read.
#[test]
fn jacobian_vector_products_match_finite_differences() {
    let shapes: &[&[usize]] = &[&[2, 2, 2, 2], &[3, 3, 2, 4], &[2], &[2, 2, 2, 2], &[2]];
    let graph = Graph::new();
    let x: Vec<_> = shapes.iter().enumerate().map(|(i, shape)| graph.input(&format!("x{i}"), 0, shape)).collect();
    fn whole<'g>(image: Var<'g>, weights: Var<'g>, time: Var<'g>) -> Var<'g> {
        let scale = time.exp().reshape(&[2, 1, 1, 1]);
        let h = (image * scale).conv2d(weights).reshape(&[2, 4, 2, 2]).normalize(&[1, 3], 1e-5);
        h.silu().mean(&[2]) + time.sin().reshape(&[2, 1, 1, 1])
    }
    let net = |image, time| whole(image, x[1], time);
    let y = net(x[0], x[2]);
    let slope = graph.jvp(y, &[(x[0], x[3]), (x[2], x[4])]);
    graph.check().unwrap();
    let step = 1e-4;
    let at = |sign: f32| net(x[0] + x[3] * (sign * step), x[2] + x[4] * (sign * step));
    let difference = (at(1.0) - at(-1.0)) * (0.5 / step);
    let out = evaluate(&graph, &feed(shapes), &[slope, difference]);
    let largest = out[0].iter().fold(0.0_f64, |most, s| most.max(s.abs()));
    assert!(largest > 0.1, "a slope of {largest} proves nothing");
    for (slope, difference) in out[0].iter().zip(&out[1]) {
        assert!((slope - difference).abs() < 1e-5 * largest, "{slope}, by differences {difference}");
    }
}

#[test]
fn detach_stops_the_gradient() {
    let graph = Graph::new();
    let x = graph.input("x0", 0, &[3]);
    let y = (x * x.detach()).sum_all();
    let d = graph.grad(y, &[x])[0];
    let feed = feed(&[&[3]]);
    assert_eq!(evaluate(&graph, &feed, &[d])[0], feed.stores["x0"]);
}

#[test]
fn wrong_shapes_name_operator_operand_and_both_sides() {
    let graph = Graph::new();
    let x = graph.input("x", 0, &[2, 8, 8, 3]);
    let w = graph.input("w", 0, &[3, 3, 4, 5]);
    let y = graph.scope("enc.conv", || x.conv2d(w));
    let _ = y + 1.0;
    let message = graph.check().unwrap_err().to_string();
    assert_eq!(message, "conv2d in `enc.conv`: weight should be [k, k, 3, Co] with odd k, got [3, 3, 4, 5]");
}

#[test]
fn equal_nodes_are_one_and_trivial_ones_vanish() {
    let graph = Graph::new();
    let x = graph.input("x", 0, &[2, 3]);
    assert!(x + x == x + x);
    assert!(x * 1.0 + 0.0 == x);
    assert!(x.reshape(&[6]).reshape(&[2, 3]) == x);
    assert!(x.permute(&[1, 0]).permute(&[1, 0]) == x);
    let joined = concat(&[x, x.exp()], 1);
    assert!(joined.slice(1, 0..3) == x);
}
