//! Which values live in memory, and which launch computes each.
//!
//! Contractions, reductions and gathers are always launches of their own. A pointwise value or
//! a change of shape is *virtual*: whoever reads it computes it on the way. It is stored only
//! where that would cost more than a trip through memory, or where a reader wants plain memory.
//! A contraction also takes over what follows it, as long as nobody else needs the result in
//! between: bias, time embedding and residual become its epilogue.

use litemap::LiteMap;

use super::PlanError;
use crate::graph::{Node, Op, UnaryOp};

/// What a launch costs, and what one element costs on its way to memory or back, in simple
/// operations. A launch of 5 us is worth far more on a fast GPU; the figure is kept small for the
/// CPU executor. With 8 per element, norm and activation (about 14 operations, two readers) stay
/// virtual, and the gradient of both (about 30) is stored.
const LAUNCH: usize = 1_000_000;
/// See [`LAUNCH`].
const TRAFFIC: usize = 8;
/// Simple operations of a value that is computed again at every point rather than stored for one reader.
const CHEAP: usize = 12;

/// Operators that are launches, and what is in memory.
pub(super) struct Fusion {
    /// Nodes that some output depends on.
    pub live: Vec<bool>,
    /// Nodes whose values are in memory.
    pub stored: Vec<bool>,
    /// Nodes that leave the plan or must be plain memory.
    pub demanded: Vec<bool>,
    /// For a contraction that took over what follows it, the last node of its epilogue.
    pub exit: Vec<Option<usize>>,
}

/// Whether the operator is a launch of its own.
pub(super) fn is_root(op: &Op) -> bool {
    matches!(
        op,
        Op::Sum(_)
            | Op::Moments { .. }
            | Op::MatMul { .. }
            | Op::Conv2d
            | Op::Conv2dGradInput
            | Op::Conv2dGradWeight
            | Op::Softmax
            | Op::Gather
            | Op::ScatterAdd
            | Op::GatherBytes { .. }
    )
}

/// Whether the operator can end in an epilogue.
fn takes_epilogue(op: &Op) -> bool {
    matches!(op, Op::MatMul { .. } | Op::Conv2d | Op::Conv2dGradInput)
}

/// The operand itself where a node only renames it.
pub(super) fn resolve(nodes: &[Node], mut id: usize) -> usize {
    while matches!(nodes[id].op, Op::Reshape | Op::Detach) {
        id = nodes[id].inputs[0];
    }
    id
}

/// Operands that must be plain memory, by position.
fn plain_operands(op: &Op) -> &'static [usize] {
    match op {
        Op::MatMul { .. } | Op::Conv2d | Op::Conv2dGradInput => &[1],
        Op::Softmax => &[0],
        Op::Gather | Op::ScatterAdd | Op::GatherBytes { .. } => &[0, 1],
        _ => &[],
    }
}

/// Decides what is stored. `outputs` must be in memory; so must `extra`.
pub(super) fn fuse(nodes: &[Node], outputs: &[usize], extra: &[usize]) -> Result<Fusion, PlanError> {
    let mut live = vec![false; nodes.len()];
    for &id in outputs {
        live[id] = true;
    }
    for id in (0..nodes.len()).rev() {
        if live[id] {
            for &input in &nodes[id].inputs {
                live[input] = true;
            }
        }
    }
    let mut stored: Vec<bool> = nodes.iter().map(|n| is_root(&n.op) || matches!(n.op, Op::Input(_))).collect();
    let mut demanded = vec![false; nodes.len()];
    for &id in outputs.iter().chain(extra) {
        demanded[resolve(nodes, id)] = true;
    }
    for (node, _) in nodes.iter().zip(&live).filter(|(_, live)| **live) {
        for &position in plain_operands(&node.op) {
            demanded[resolve(nodes, node.inputs[position])] = true;
        }
        if matches!(node.op, Op::GatherBytes { .. }) && !matches!(nodes[node.inputs[0]].op, Op::Input(_)) {
            return Err(PlanError::BytesNotInStore { label: node.label.clone() });
        }
    }
    for (stored, demanded) in stored.iter_mut().zip(&demanded) {
        *stored |= demanded;
    }
    let users = users(nodes, &live);
    let mut exit = vec![None; nodes.len()];
    // Later contractions first: they can load what an earlier one has already computed.
    let mut claimed = vec![false; nodes.len()];
    for root in (0..nodes.len()).rev() {
        if live[root] && takes_epilogue(&nodes[root].op) && !demanded[root] {
            let region = grow(nodes, &users, &stored, &claimed, root);
            if let Some(&last) = region.last() {
                stored[root] = false;
                stored[last] = true;
                exit[root] = Some(last);
                for id in region {
                    claimed[id] = true;
                }
            }
        }
    }
    store_shared(nodes, &users, &live, &claimed, &mut stored);
    Ok(Fusion { live, stored, demanded, exit })
}

fn users(nodes: &[Node], live: &[bool]) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); nodes.len()];
    for (id, node) in nodes.iter().enumerate().filter(|(id, _)| live[*id]) {
        for &input in &node.inputs {
            if users[input].last() != Some(&id) {
                users[input].push(id);
            }
        }
    }
    users
}

/// The pointwise nodes after `root` that its launch can compute, the last of which is the only
/// one that anybody else reads.
fn grow(nodes: &[Node], users: &[Vec<usize>], stored: &[bool], claimed: &[bool], root: usize) -> Vec<usize> {
    const LONGEST: usize = 48;
    let len: usize = nodes[root].shape.iter().product();
    let mut region: Vec<usize> = Vec::new();
    let mut best = 0;
    // Users of the region and of `root` that are not in the region, in their order.
    let mut frontier = users[root].clone();
    while !frontier.is_empty() {
        let id = frontier.remove(0);
        let node = &nodes[id];
        let pointwise = matches!(node.op, Op::Unary(_) | Op::Binary(_) | Op::Reshape | Op::Detach);
        if !pointwise || claimed[id] || node.shape.iter().product::<usize>() != len || region.len() == LONGEST {
            break;
        }
        region.push(id);
        let inside = |u: &usize| region.contains(u);
        let leaves = |n: usize| !users[n].iter().all(inside) || users[n].is_empty();
        let others_stay = region[..region.len() - 1].iter().all(|&n| !leaves(n) && !stored[n]);
        if !leaves(root) && others_stay {
            best = region.len();
        }
        if stored[id] {
            break;
        }
        for &user in &users[id] {
            if let Err(place) = frontier.binary_search(&user) {
                frontier.insert(place, user);
            }
        }
    }
    region.truncate(best);
    // A change of shape at the end adds nothing: its readers see through it.
    while region.last().is_some_and(|&id| matches!(nodes[id].op, Op::Reshape | Op::Detach) && !stored[id]) {
        region.pop();
    }
    region
}

/// Stores virtual nodes that would cost more to compute again than to write and read: because
/// several launches read them, or one that repeats them along a broadcast axis.
fn store_shared(nodes: &[Node], users: &[Vec<usize>], live: &[bool], claimed: &[bool], stored: &mut [bool]) {
    // The launches that would compute each node, each by the node that it ends in, and the number
    // of points at which it would.
    let mut sinks: Vec<LiteMap<usize, usize>> = vec![LiteMap::new(); nodes.len()];
    let len = |id: usize| nodes[id].shape.iter().product::<usize>();
    for id in (0..nodes.len()).rev().filter(|&id| live[id]) {
        for &user in &users[id] {
            let beyond = if stored[user] || is_root(&nodes[user].op) {
                LiteMap::from_iter([(user, if is_root(&nodes[user].op) { len(id) } else { len(user) })])
            } else {
                sinks[user].clone()
            };
            for (sink, points) in beyond {
                let most = sinks[id].entry(sink).or_default();
                *most = points.max(*most);
            }
        }
        let virtual_value = !stored[id] && !claimed[id] && !is_root(&nodes[id].op);
        let computes = matches!(nodes[id].op, Op::Unary(_) | Op::Binary(_) | Op::Random { .. });
        if virtual_value && computes {
            let again = sinks[id].values().sum::<usize>().saturating_sub(len(id));
            let memory = TRAFFIC * len(id) * (1 + sinks[id].len()) + LAUNCH;
            let cost = cost(nodes, stored, id);
            // One reader that repeats it: worth a launch for a function or a random number, not for a product.
            let worth_it = sinks[id].len() > 1 || cost > CHEAP;
            stored[id] = worth_it && cost * again > memory;
        }
    }
}

/// Simple operations that it takes to compute a virtual node from memory, each shared node once.
fn cost(nodes: &[Node], stored: &[bool], id: usize) -> usize {
    let in_memory = |n: usize| stored[n] || is_root(&nodes[n].op);
    let own = |n: usize| match nodes[n].op {
        _ if in_memory(n) => 1,
        Op::Random { .. } => 40,
        Op::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign | UnaryOp::Floor) | Op::Binary(_) => 1,
        Op::Unary(_) => 4,
        _ => 0,
    };
    // The node itself may be marked; look below it.
    below(nodes, id, &in_memory).into_iter().map(own).sum::<usize>()
        + if matches!(nodes[id].op, Op::Random { .. }) { 40 } else { 1 }
}

/// The nodes that `id` is computed from, down to those where `ends`, each once, in order.
///
/// Time goes with what is found, not with the graph: a plan asks for every node and every launch, time and again.
pub(super) fn below(nodes: &[Node], id: usize, ends: &dyn Fn(usize) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    let mut left = nodes[id].inputs.clone();
    while let Some(n) = left.pop() {
        if let Err(place) = found.binary_search(&n) {
            found.insert(place, n);
            if !ends(n) {
                left.extend(&nodes[n].inputs);
            }
        }
    }
    found
}
