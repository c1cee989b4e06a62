//! Launches in order, each with its code, before anything has an address.
//!
//! A launch runs when its operands are there, the one that was made first going first. Sums over
//! the same axes of the same shape share one launch; those that nothing in the plan reads (the
//! gradients of biases and scales) wait until a few are together.

use litemap::LiteMap;

use super::PlanError;
use super::expand::{Context, Expanded, Failure, Own, expand};
use super::fuse::{Fusion, below, is_root, resolve};
use super::ir::{Body, ConvShape, Inst, Kernel, MAX_BINDINGS};
use crate::graph::{Node, Op};

/// A launch whose operands are nodes.
pub(super) struct Draft {
    pub kernel: Kernel,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
    pub label: String,
}

/// Sums that one launch may compute.
const SUMS_PER_LAUNCH: usize = 4;
/// Sums that nobody waits for are computed when so many of a kind are ready: scale and shift of a
/// norm, and the bias before it. More would keep their operands alive for longer.
const PATIENT_SUMS: usize = 3;

/// The launches, or the nodes that have to be in memory before there can be any.
pub(super) fn schedule(
    nodes: &[Node],
    fusion: &Fusion,
    scalars: &[String],
) -> Result<Result<Vec<Draft>, Vec<usize>>, PlanError> {
    let context = Context { nodes, stored: &fusion.stored, scalars };
    // A job is named by the node that it leaves in memory; `origin` is the contraction before it.
    let mut origin: Vec<Option<usize>> = vec![None; nodes.len()];
    for (root, exit) in fusion.exit.iter().enumerate() {
        if let Some(exit) = exit {
            origin[*exit] = Some(root);
        }
    }
    let jobs: Vec<usize> = (0..nodes.len())
        .filter(|&id| fusion.live[id] && fusion.stored[id] && !matches!(nodes[id].op, Op::Input(_)))
        .collect();
    let mut needs: Vec<Vec<usize>> = jobs.iter().map(|&id| needs(nodes, fusion, id)).collect();
    let mut maps = join_sums(&context, fusion, &jobs, &needs, &origin);
    for (job, map) in &maps {
        let sums: Vec<usize> = map.sums.iter().map(|s| position(&jobs, *s)).collect();
        let own = position(&jobs, *job);
        for sum in sums {
            let theirs = std::mem::take(&mut needs[sum]);
            needs[own].extend(theirs);
        }
        needs[own].retain(|n| !map.sums.contains(n));
    }
    let marked = |ids: &mut dyn Iterator<Item = &usize>| {
        let mut marks = vec![false; nodes.len()];
        ids.for_each(|id| marks[*id] = true);
        marks
    };
    let joined = marked(&mut maps.values().flat_map(|m| &m.sums));
    let read = marked(&mut needs.iter().flatten());
    let patient = |id: usize| matches!(nodes[id].op, Op::Sum(_)) && !read[id];
    let alike = |a: usize, b: usize| alike(nodes, a, b);
    let mut done = vec![false; nodes.len()];
    let mut waiting: Vec<usize> = (0..jobs.len()).filter(|&w| !joined[jobs[w]]).collect();
    let mut drafts = Vec::new();
    // A network that is evaluated time and again lacks the same each time: all of it is found in one attempt.
    let mut missing = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |job: &&usize| needs[**job].iter().all(|&n| done[n]);
        let ready: Vec<usize> = waiting.iter().filter(is_ready).map(|&job| jobs[job]).collect();
        let together = |id: usize| ready.iter().filter(|&&other| alike(id, other)).count();
        let urgent = ready.iter().find(|&&id| !patient(id) || together(id) >= PATIENT_SUMS);
        let job = *urgent.or(ready.first()).expect("a graph has no cycle");
        let mut group = vec![job];
        let summed = maps.remove(&job).map(|map| map.draft);
        let mut drafted = match summed.map_or_else(|| draft(&context, &group, origin[job]), Ok) {
            Ok(draft) if bindings(&draft) <= MAX_BINDINGS => Some(draft),
            // What is missing elsewhere may be what this one reads too much of.
            Ok(_) if reads(nodes, fusion, job).iter().any(|id| missing.contains(id)) => None,
            // A contraction whose epilogue reads too much gives it up.
            Ok(draft) => match heaviest_operand(nodes, fusion, job).or(origin[job]) {
                Some(id) => {
                    missing.push(id);
                    None
                }
                None if !missing.is_empty() => None,
                None => {
                    let (label, got) = (draft.label.clone(), bindings(&draft));
                    return Err(PlanError::TooManyOperands { label, got, limit: MAX_BINDINGS });
                }
            },
            Err(Failure::Store(id)) => {
                missing.push(id);
                None
            }
        };
        if let Some(draft) = &mut drafted {
            for &other in ready.iter().filter(|&&other| other != job && alike(job, other)) {
                group.push(other);
                match self::draft(&context, &group, None) {
                    Ok(larger) if bindings(&larger) <= MAX_BINDINGS && group.len() <= SUMS_PER_LAUNCH => {
                        *draft = larger;
                    }
                    _ => drop(group.pop()),
                }
            }
        }
        for &id in &group {
            done[id] = true;
        }
        waiting.retain(|&w| !group.contains(&jobs[w]));
        drafts.extend(drafted);
    }
    Ok(if missing.is_empty() { Ok(drafts) } else { Err(missing) })
}

fn position(jobs: &[usize], id: usize) -> usize {
    jobs.binary_search(&id).expect("what is read is computed by some job")
}

/// A pointwise launch that computes the sums that it reads.
struct SumsAndMap {
    sums: Vec<usize>,
    draft: Draft,
}

/// Pointwise values that alone read sums over their own iteration space: one launch for both, as
/// each workgroup has the sums that its points need.
fn join_sums(
    context: &Context<'_>,
    fusion: &Fusion,
    jobs: &[usize],
    needs: &[Vec<usize>],
    origin: &[Option<usize>],
) -> LiteMap<usize, SumsAndMap> {
    /// Fewer independent sums would leave most of a GPU idle.
    const FEWEST_SUMS: usize = 64;
    let nodes = context.nodes;
    let len = |id: usize| nodes[id].shape.iter().product::<usize>();
    let mut readers: LiteMap<usize, usize> = LiteMap::new();
    for id in needs.iter().flatten() {
        *readers.entry(*id).or_default() += 1;
    }
    let mut maps = LiteMap::new();
    for (&job, needs) in jobs.iter().zip(needs) {
        if is_root(&nodes[job].op) || origin[job].is_some() {
            continue;
        }
        let mine = |id: &usize| {
            matches!(nodes[*id].op, Op::Sum(_))
                && readers[id] == 1
                && !fusion.demanded[*id]
                && len(nodes[*id].inputs[0]) == len(job)
                && len(*id) >= FEWEST_SUMS
        };
        let sums: Vec<usize> = needs.iter().copied().filter(mine).collect();
        let Some(&first) = sums.first() else { continue };
        let sums: Vec<usize> = sums.into_iter().filter(|&id| alike(nodes, first, id)).take(SUMS_PER_LAUNCH).collect();
        // A sum may itself need another sum's launch to be over.
        let after = |id: &usize| self::needs(nodes, fusion, *id).iter().any(|n| sums.contains(n));
        if sums.iter().any(after) {
            continue;
        }
        if let Some(draft) = draft_map(context, job, &sums) {
            maps.insert(job, SumsAndMap { sums, draft });
        }
    }
    maps
}

fn alike(nodes: &[Node], a: usize, b: usize) -> bool {
    let shape = |id: usize| &nodes[nodes[id].inputs[0]].shape;
    matches!(nodes[a].op, Op::Sum(_)) && nodes[a].op == nodes[b].op && shape(a) == shape(b)
}

/// One launch for `sums` and the pointwise value `job`, if their iteration spaces agree and it fits.
fn draft_map(context: &Context<'_>, job: usize, sums: &[usize]) -> Option<Draft> {
    let nodes = context.nodes;
    let Op::Sum(axes) = &nodes[sums[0]].op else { return None };
    let mut inputs = Vec::new();
    let summed: Vec<usize> = sums.iter().map(|&id| nodes[id].inputs[0]).collect();
    let first = expand(context, &summed, axes, Own::Nothing, false, &mut inputs).ok()?;
    // The value may have the same points under another shape: view it as the sums' operand.
    let same_shape = nodes[job].shape == nodes[summed[0]].shape;
    let flags = if same_shape { axes.clone() } else { return None };
    let second = expand(context, &[job], &flags, Own::Sums(sums), true, &mut inputs).ok()?;
    if first.body.dims != second.body.dims || inputs.len() + 1 > MAX_BINDINGS {
        return None;
    }
    let kernel = Kernel::ReduceMap { sums: first.body, reduced: first.reduced, map: second.body };
    Some(Draft { kernel, inputs, outputs: vec![job], label: nodes[job].label.clone() })
}

fn bindings(draft: &Draft) -> usize {
    draft.inputs.len() + draft.outputs.len()
}

/// What the launch that ends in `id` is computed from, down to memory.
fn reads(nodes: &[Node], fusion: &Fusion, id: usize) -> Vec<usize> {
    below(nodes, id, &|n| fusion.stored[n])
}

/// Computed nodes in memory that the launch which ends in `id` reads.
fn needs(nodes: &[Node], fusion: &Fusion, id: usize) -> Vec<usize> {
    let mut found = reads(nodes, fusion, id);
    found.retain(|&n| fusion.stored[n] && !matches!(nodes[n].op, Op::Input(_)));
    found
}

/// The virtual node below `job` that gathers the most buffers, without being all of it.
fn heaviest_operand(nodes: &[Node], fusion: &Fusion, job: usize) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    for id in reads(nodes, fusion, job).into_iter().filter(|&id| !fusion.stored[id]) {
        let computes = matches!(nodes[id].op, Op::Unary(_) | Op::Binary(_));
        let buffers = reads(nodes, fusion, id).into_iter().filter(|&n| fusion.stored[n]).count();
        let epilogue = is_root(&nodes[id].op) || below_root(nodes, fusion, id);
        if computes && !epilogue && (2..MAX_BINDINGS).contains(&buffers) && best.is_none_or(|(most, _)| buffers >= most)
        {
            best = Some((buffers, id));
        }
    }
    best.map(|(_, id)| id)
}

/// Whether the value depends on a contraction that is not stored, and so belongs to its epilogue.
fn below_root(nodes: &[Node], fusion: &Fusion, id: usize) -> bool {
    !fusion.stored[id] && (is_root(&nodes[id].op) || nodes[id].inputs.iter().any(|&i| below_root(nodes, fusion, i)))
}

/// The code of the launch that leaves `group` in memory.
fn draft(context: &Context<'_>, group: &[usize], origin: Option<usize>) -> Result<Draft, Failure> {
    let nodes = context.nodes;
    let exit = group[0];
    let root = origin.unwrap_or(exit);
    let node = &nodes[root];
    let mut inputs = Vec::new();
    let operand = |i: usize| node.inputs[i];
    let plain = |i: usize, inputs: &mut Vec<usize>| {
        let id = resolve(nodes, operand(i));
        if !inputs.contains(&id) {
            inputs.push(id);
        }
    };
    let shape_of = |i: usize| &nodes[operand(i)].shape;
    let flat = |id: usize| vec![false; nodes[id].shape.len()];
    let value = |id: usize, inputs: &mut Vec<usize>| {
        expand(context, &[id], &flat(id), Own::Nothing, false, inputs).map(|e| e.body)
    };
    let epilogue = |inputs: &mut Vec<usize>| -> Result<Body, Failure> {
        if exit == root {
            return Ok(Body::acc(&node.shape));
        }
        expand(context, &[exit], &flat(exit), Own::Contraction(root), true, inputs).map(|e| e.body)
    };
    let kernel = match &node.op {
        Op::Sum(axes) => {
            let summed: Vec<usize> = group.iter().map(|&id| nodes[id].inputs[0]).collect();
            let Expanded { body, reduced } = expand(context, &summed, axes, Own::Nothing, false, &mut inputs)?;
            Kernel::Reduce { body, reduced }
        }
        Op::Moments { axes, eps } => {
            let Expanded { body, reduced } = expand(context, &[operand(0)], axes, Own::Nothing, false, &mut inputs)?;
            Kernel::Moments { body, reduced, eps: *eps }
        }
        Op::MatMul { ta, tb } => {
            plain(1, &mut inputs);
            let a = shape_of(0);
            let (m, n) = (node.shape[1], node.shape[2]);
            let k = if *ta { a[1] } else { a[2] };
            let prologue = value(operand(0), &mut inputs)?;
            let epilogue = epilogue(&mut inputs)?;
            Kernel::MatMul { batch: a[0], m, n, k, ta: *ta, tb: *tb, prologue, epilogue }
        }
        Op::Conv2d | Op::Conv2dGradInput => {
            plain(1, &mut inputs);
            let x = shape_of(0);
            let (ci, co, k) = (x[3], node.shape[3], shape_of(1)[0]);
            let shape = ConvShape { b: x[0], h: x[1], w: x[2], ci, co, k };
            let prologue = value(operand(0), &mut inputs)?;
            let epilogue = epilogue(&mut inputs)?;
            Kernel::Conv2d { shape, flip: node.op == Op::Conv2dGradInput, prologue, epilogue }
        }
        Op::Conv2dGradWeight => {
            let (x, d) = (shape_of(0), shape_of(1));
            let shape = ConvShape { b: x[0], h: x[1], w: x[2], ci: x[3], co: d[3], k: node.shape[0] };
            let prologue = value(operand(0), &mut inputs)?;
            let prologue_d = value(operand(1), &mut inputs)?;
            Kernel::Conv2dGradWeight { shape, prologue, prologue_d }
        }
        Op::Softmax => {
            plain(0, &mut inputs);
            let cols = *node.shape.last().expect("softmax has an axis");
            Kernel::Softmax { rows: node.shape.iter().product::<usize>() / cols, cols }
        }
        Op::Gather | Op::ScatterAdd | Op::GatherBytes { .. } => {
            plain(0, &mut inputs);
            plain(1, &mut inputs);
            let (rows, width) = (nodes[operand(1)].shape[0], node.shape[1]);
            match node.op {
                Op::Gather => Kernel::Gather { rows, width, table: shape_of(0)[0] },
                Op::ScatterAdd => Kernel::ScatterAdd { rows, width, table: node.shape[0] },
                Op::GatherBytes { rows: table } => Kernel::GatherBytes { rows, width, table },
                _ => unreachable!("matched above"),
            }
        }
        _ => {
            let expanded = expand(context, &[exit], &flat(exit), Own::Nothing, true, &mut inputs)?;
            Kernel::Pointwise { body: expanded.body }
        }
    };
    Ok(Draft { kernel, inputs, outputs: group.to_vec(), label: nodes[exit].label.clone() })
}

impl Draft {
    /// Floating-point operations: two per multiply-add of a contraction, one per instruction of a
    /// body and point.
    pub fn flops(&self) -> u64 {
        let ops = |body: &Body| {
            let computes = body.insts.iter().filter(|i| matches!(i, Inst::Unary(..) | Inst::Binary(..))).count();
            (computes * body.points()) as u64
        };
        match &self.kernel {
            Kernel::Pointwise { body } => ops(body),
            Kernel::Reduce { body, .. } => ops(body) + (body.points() * body.results.len()) as u64,
            Kernel::ReduceMap { sums, map, .. } => ops(sums) + ops(map) + (sums.points() * sums.results.len()) as u64,
            Kernel::Moments { body, .. } => ops(body) + 4 * body.points() as u64,
            Kernel::MatMul { batch, m, n, k, prologue, epilogue, .. } => {
                2 * (batch * m * n * k) as u64 + ops(prologue) + ops(epilogue)
            }
            Kernel::Conv2d { shape, prologue, epilogue, .. } => shape.flops() + ops(prologue) + ops(epilogue),
            Kernel::Conv2dGradWeight { shape, prologue, prologue_d } => shape.flops() + ops(prologue) + ops(prologue_d),
            Kernel::Softmax { rows, cols } => 5 * (rows * cols) as u64,
            Kernel::ScatterAdd { rows, width, .. } => (rows * width) as u64,
            Kernel::Gather { .. } | Kernel::GatherBytes { .. } | Kernel::Record { .. } => 0,
            Kernel::Adam { len, .. } => 14 * *len as u64,
        }
    }
}

impl ConvShape {
    /// Two per multiply-add, the padding counted.
    pub fn flops(&self) -> u64 {
        2 * (self.b * self.h * self.w * self.k * self.k * self.ci * self.co) as u64
    }
}
