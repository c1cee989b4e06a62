//! Addresses: every value gets a slot, in the store that it belongs to or in a scratch arena.
//!
//! Scratch values share memory when their lives don't overlap. A launch may not read and write
//! one buffer, so an output goes to an arena that none of the launch's inputs is in; the number
//! of scratch arenas grows only when there is no such arena.

use litemap::LiteMap;

use super::fuse::resolve;
use super::ir::{Arena, ArenaKind, Body, Inst, Kernel, Launch, MAX_BINDINGS, Plan, SLOT_ALIGN, Slot, View};
use super::program::{Adam, Program};
use super::schedule::Draft;
use crate::graph::{BinaryOp, Node, Op, Place};

/// A launch whose operands are values: numbers of [`Placer::values`].
struct Step {
    kernel: Kernel,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    flops: u64,
    label: String,
}

/// Something in memory.
struct Value {
    len: usize,
    /// `None` lives in scratch.
    home: Option<Place>,
}

#[derive(Default)]
struct Placer {
    values: Vec<Value>,
    steps: Vec<Step>,
    of_node: LiteMap<usize, usize>,
}

pub(super) fn place(program: &Program<'_>, nodes: &[Node], drafts: Vec<Draft>, scalars: Vec<String>) -> Plan {
    let mut placer = Placer::default();
    let read: Vec<&str> = drafts
        .iter()
        .flat_map(|d| &d.inputs)
        .filter_map(|&n| match &nodes[n].op {
            Op::Input(place) => Some(place.store.as_str()),
            _ => None,
        })
        .collect();
    let mut wanted: LiteMap<usize, &Place> = LiteMap::new();
    for (id, place) in &program.outputs {
        let base = resolve(nodes, *id);
        if !read.contains(&place.store.as_str()) && !matches!(nodes[base].op, Op::Input(_)) {
            wanted.entry(base).or_insert(place);
        }
    }
    // A value that a launch reads which itself writes to that store has to be in scratch as well.
    for draft in &drafts {
        let written: Vec<String> =
            draft.outputs.iter().filter_map(|o| wanted.get(o)).map(|place| place.store.clone()).collect();
        for input in &draft.inputs {
            if wanted.get(input).is_some_and(|place| written.contains(&place.store)) {
                wanted.remove(input);
            }
        }
    }
    for draft in drafts {
        placer.add_draft(nodes, draft, &wanted);
    }
    for (id, place) in &program.outputs {
        let value = placer.value(nodes, resolve(nodes, *id));
        let is_there = placer.values[value].home.as_ref() == Some(place);
        if !is_there && (read.contains(&place.store.as_str()) || !placer.write_twice(value, place)) {
            placer.copy(value, place.clone(), &nodes[*id].label);
        }
    }
    let mut statistics: Vec<usize> = program.record.iter().flat_map(|r| &r.values).copied().collect();
    for id in &mut statistics {
        *id = placer.value(nodes, resolve(nodes, *id));
    }
    for adam in &program.adam {
        statistics.push(placer.adam(adam, &scalars));
    }
    if let Some(record) = &program.record {
        let row = statistics.len();
        let ring = placer.stored(&record.store, 0, record.ring * row);
        placer.step(Kernel::Record { ring: record.ring }, statistics, vec![ring], 0, &record.store);
    }
    placer.plan(program.name.clone(), scalars)
}

impl Placer {
    fn add_value(&mut self, len: usize, home: Option<Place>) -> usize {
        self.values.push(Value { len, home });
        self.values.len() - 1
    }

    fn stored(&mut self, store: &str, offset: usize, len: usize) -> usize {
        self.add_value(len, Some(Place { store: store.to_owned(), offset }))
    }

    /// The value of a node that is in memory.
    fn value(&mut self, nodes: &[Node], id: usize) -> usize {
        if let Some(&value) = self.of_node.get(&id) {
            return value;
        }
        let home = match &nodes[id].op {
            Op::Input(place) => Some(place.clone()),
            _ => None,
        };
        let value = self.add_value(nodes[id].shape.iter().product(), home);
        self.of_node.insert(id, value);
        value
    }

    fn step(&mut self, kernel: Kernel, inputs: Vec<usize>, outputs: Vec<usize>, flops: u64, label: &str) {
        self.steps.push(Step { kernel, inputs, outputs, flops, label: label.to_owned() });
    }

    fn add_draft(&mut self, nodes: &[Node], draft: Draft, wanted: &LiteMap<usize, &Place>) {
        let flops = draft.flops();
        let inputs: Vec<usize> = draft.inputs.iter().map(|&n| self.value(nodes, n)).collect();
        let mut outputs = Vec::new();
        for &node in &draft.outputs {
            let value = self.value(nodes, node);
            let clashes = |place: &Place| {
                inputs.iter().any(|&i| self.values[i].home.as_ref().is_some_and(|h| h.store == place.store))
            };
            if let Some(place) = wanted.get(&node).filter(|place| !clashes(place)) {
                self.values[value].home = Some((*place).clone());
            }
            outputs.push(value);
        }
        self.step(draft.kernel, inputs, outputs, flops, &draft.label);
    }

    /// Lets the launch that makes `value` leave it at `place`, too, if its kernel can.
    fn write_twice(&mut self, value: usize, place: &Place) -> bool {
        let Some(at) = self.steps.iter().position(|s| s.outputs.contains(&value)) else { return false };
        let reads_there = |&i: &usize| self.values[i].home.as_ref().is_some_and(|h| h.store == place.store);
        if self.steps[at].inputs.iter().any(reads_there)
            || self.steps[at].inputs.len() + self.steps[at].outputs.len() >= MAX_BINDINGS
        {
            return false;
        }
        let out = self.values.len();
        let step = &mut self.steps[at];
        let (Kernel::Pointwise { body } | Kernel::Reduce { body, .. }) = &mut step.kernel else { return false };
        let which = step.outputs.iter().position(|&o| o == value).expect("found by it");
        body.results.push(body.results[which]);
        step.outputs.push(out);
        let len = self.values[value].len;
        self.add_value(len, Some(place.clone()));
        true
    }

    fn copy(&mut self, mut from: usize, to: Place, label: &str) {
        let len = self.values[from].len;
        if self.values[from].home.as_ref().is_some_and(|home| home.store == to.store) {
            // No launch may read and write one store.
            let between = self.add_value(len, None);
            self.step(Kernel::Pointwise { body: Body::load(0, &[len]) }, vec![from], vec![between], 0, label);
            from = between;
        }
        let out = self.add_value(len, Some(to));
        self.step(Kernel::Pointwise { body: Body::load(0, &[len]) }, vec![from], vec![out], 0, label);
    }

    /// The gradient's norm in two sums, then the update. Returns the squared norm.
    fn adam(&mut self, adam: &Adam, scalars: &[String]) -> usize {
        let (len, rows) = (adam.len, adam.len / Adam::ROW);
        let store = |name: &str| format!("{}.{name}", adam.network);
        let label = &adam.network;
        let grad = self.stored(&store("grad"), 0, len);
        let partial = self.add_value(rows, None);
        let norm = self.add_value(1, None);
        let dims = vec![rows, Adam::ROW];
        let load = Inst::Load { input: 0, view: View::contiguous(&dims) };
        let squares = Body { dims, insts: vec![load, Inst::Binary(BinaryOp::Mul, 0, 0)], results: vec![1] };
        let by_row = Kernel::Reduce { body: squares, reduced: vec![false, true] };
        self.step(by_row, vec![grad], vec![partial], 2 * len as u64, label);
        let all = Kernel::Reduce { body: Body::load(0, &[rows]), reduced: vec![true] };
        self.step(all, vec![partial], vec![norm], rows as u64, label);
        let outputs = ["param", "m", "v", "ema"].map(|name| self.stored(&store(name), 0, len)).to_vec();
        let update = Kernel::Adam { len, scalars: adam.scalars(scalars) };
        self.step(update, vec![grad, norm], outputs, 14 * len as u64, label);
        norm
    }

    fn plan(self, name: String, scalars: Vec<String>) -> Plan {
        let mut last_use = vec![0; self.values.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for &value in step.inputs.iter().chain(&step.outputs) {
                last_use[value] = at;
            }
        }
        let mut scratch: Vec<Scratch> = Vec::new();
        let mut stores: Vec<Arena> = Vec::new();
        // Where each value is: scratch arenas are numbered from 0, stores from `STORE` on.
        const STORE: usize = 1 << 20;
        let mut slots: Vec<Option<Slot>> = vec![None; self.values.len()];
        for (value, info) in self.values.iter().enumerate() {
            let Some(home) = &info.home else { continue };
            let kind = ArenaKind::Store(home.store.clone());
            let at = stores.iter().position(|a| a.kind == kind).unwrap_or_else(|| {
                stores.push(Arena { kind, len: 0 });
                stores.len() - 1
            });
            stores[at].len = stores[at].len.max(home.offset + info.len);
            slots[value] = Some(Slot { arena: STORE + at, offset: home.offset, len: info.len });
        }
        for (at, step) in self.steps.iter().enumerate() {
            for arena in &mut scratch {
                arena.free_before(at);
            }
            let read: Vec<usize> = step.inputs.iter().filter_map(|&i| slots[i].map(|s| s.arena)).collect();
            for &value in &step.outputs {
                if slots[value].is_some() {
                    continue;
                }
                let len = self.values[value].len;
                let best = (0..scratch.len())
                    .filter(|a| !read.contains(a))
                    .min_by_key(|&a| scratch[a].growth(len))
                    .unwrap_or_else(|| {
                        scratch.push(Scratch::default());
                        scratch.len() - 1
                    });
                let offset = scratch[best].take(len, last_use[value]);
                slots[value] = Some(Slot { arena: best, offset, len });
            }
        }
        let count = scratch.len();
        let slot = |value: usize| {
            let mut slot = slots[value].expect("outputs come before inputs");
            if slot.arena >= STORE {
                slot.arena = slot.arena - STORE + count;
            }
            slot
        };
        let launches = self.steps.iter().map(|step| {
            let inputs: Vec<Slot> = step.inputs.iter().map(|&v| slot(v)).collect();
            let outputs: Vec<Slot> = step.outputs.iter().map(|&v| slot(v)).collect();
            Launch {
                bytes: traffic(&step.kernel, &inputs, &outputs),
                kernel: step.kernel.clone(),
                inputs,
                outputs,
                flops: step.flops,
                label: step.label.clone(),
            }
        });
        let launches = launches.collect();
        let mut arenas: Vec<Arena> =
            scratch.iter().enumerate().map(|(i, s)| Arena { kind: ArenaKind::Scratch(i), len: s.len }).collect();
        arenas.extend(stores);
        Plan { name, arenas, launches, scalars }
    }
}

/// Bytes that move if every operand moves once; a gather touches only its rows, Adam reads what it writes.
fn traffic(kernel: &Kernel, inputs: &[Slot], outputs: &[Slot]) -> u64 {
    let bytes = |slots: &[Slot]| 4 * slots.iter().map(|s| s.len as u64).sum::<u64>();
    match kernel {
        Kernel::Gather { rows, width, .. } => 8 * (rows * width) as u64,
        Kernel::GatherBytes { rows, width, .. } => 5 * (rows * width) as u64,
        Kernel::Record { .. } => 8 * inputs.len() as u64,
        Kernel::Adam { .. } => bytes(inputs) + 2 * bytes(outputs),
        _ => bytes(inputs) + bytes(outputs),
    }
}

/// A scratch arena while it is being laid out: live slots in order of their offsets.
#[derive(Default)]
struct Scratch {
    live: Vec<(usize, usize, usize)>,
    len: usize,
}

impl Scratch {
    fn free_before(&mut self, step: usize) {
        self.live.retain(|&(_, _, last_use)| last_use >= step);
    }

    /// First gap of `len` elements.
    fn gap(&self, len: usize) -> usize {
        let mut start = 0;
        for &(offset, size, _) in &self.live {
            if offset >= start + len {
                break;
            }
            start = (offset + size).next_multiple_of(SLOT_ALIGN);
        }
        start
    }

    fn growth(&self, len: usize) -> usize {
        (self.gap(len) + len).saturating_sub(self.len)
    }

    fn take(&mut self, len: usize, last_use: usize) -> usize {
        let offset = self.gap(len);
        let at = self.live.partition_point(|&(o, _, _)| o < offset);
        self.live.insert(at, (offset, len, last_use));
        self.len = self.len.max((offset + len).next_multiple_of(SLOT_ALIGN));
        offset
    }
}
