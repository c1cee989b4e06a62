//! A plan as a table for people.

use std::fmt;

use super::ir::{Arena, ArenaKind, Kernel, Launch, Plan, Slot};

impl Plan {
    /// Floating-point operations of one run.
    pub fn flops(&self) -> u64 {
        self.launches.iter().map(|l| l.flops).sum()
    }

    /// Bytes that one run moves if every operand moves once.
    pub fn bytes(&self) -> u64 {
        self.launches.iter().map(|l| l.bytes).sum()
    }

    /// Bytes of scratch memory.
    pub fn scratch_bytes(&self) -> u64 {
        let scratch = self.arenas.iter().filter(|a| matches!(a.kind, ArenaKind::Scratch(_)));
        4 * scratch.map(|a| a.len as u64).sum::<u64>()
    }

    /// What several plans launch, one after the other: for reports, since it has no scalars to run with.
    pub fn joined<'a>(name: &str, plans: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self { name: name.to_owned(), ..Self::default() };
        for plan in plans {
            let places: Vec<usize> = plan.arenas.iter().map(|arena| all.arena(arena)).collect();
            for launch in &plan.launches {
                let mut launch = launch.clone();
                for slot in launch.inputs.iter_mut().chain(&mut launch.outputs) {
                    slot.arena = places[slot.arena];
                }
                all.launches.push(launch);
            }
        }
        all
    }

    /// The number of an arena like this one, of at least its length.
    fn arena(&mut self, arena: &Arena) -> usize {
        let at = self.arenas.iter().position(|other| other.kind == arena.kind).unwrap_or(self.arenas.len());
        if at == self.arenas.len() {
            self.arenas.push(arena.clone());
        }
        self.arenas[at].len = self.arenas[at].len.max(arena.len);
        at
    }

    /// A name for people of the arena of a slot.
    pub fn arena_name(&self, slot: &Slot) -> String {
        match &self.arenas[slot.arena].kind {
            ArenaKind::Scratch(i) => format!("scratch{i}"),
            ArenaKind::Store(name) => name.clone(),
        }
    }
}

impl Launch {
    /// The sizes that matter, such as `64x14x14x32 -> 32, 3x3`.
    pub fn shapes(&self) -> String {
        let join = |dims: &[usize]| dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        match &self.kernel {
            Kernel::Pointwise { body } => join(&body.dims),
            Kernel::ReduceMap { map, reduced, .. } => {
                let kept: Vec<usize> = map.dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
                format!("{} by {}", join(&map.dims), join(&kept))
            }
            Kernel::Reduce { body, reduced } | Kernel::Moments { body, reduced, .. } => {
                let kept: Vec<usize> = body.dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
                let times =
                    if self.outputs.len() > 1 { format!(" ({} sums)", self.outputs.len()) } else { String::new() };
                format!("{} -> {}{times}", join(&body.dims), if kept.is_empty() { "1".into() } else { join(&kept) })
            }
            Kernel::MatMul { batch, m, n, k, .. } => format!("{batch} of {m}x{k} . {k}x{n}"),
            Kernel::Conv2d { shape, .. } | Kernel::Conv2dGradWeight { shape, .. } => {
                format!("{}x{}x{}x{} -> {}, {k}x{k}", shape.b, shape.h, shape.w, shape.ci, shape.co, k = shape.k)
            }
            Kernel::Softmax { rows, cols } => format!("{rows}x{cols}"),
            Kernel::Gather { rows, width, table } | Kernel::GatherBytes { rows, width, table } => {
                format!("{rows}x{width} of {table}")
            }
            Kernel::ScatterAdd { rows, width, table } => format!("{rows}x{width} to {table}"),
            Kernel::Adam { len, .. } => len.to_string(),
            Kernel::Record { .. } => self.inputs.len().to_string(),
        }
    }

    /// What was fused into the launch: `pre` and `post` for a contraction's prologue and epilogue.
    pub fn fused(&self) -> &'static str {
        match &self.kernel {
            Kernel::Conv2d { prologue, epilogue, .. } | Kernel::MatMul { prologue, epilogue, .. } => {
                match (prologue.as_plain_load().is_none(), epilogue.is_plain_acc()) {
                    (true, false) => "pre+post",
                    (true, true) => "pre",
                    (false, false) => "post",
                    (false, true) => "",
                }
            }
            Kernel::Conv2dGradWeight { prologue, prologue_d, .. } => {
                let plain = prologue.as_plain_load().is_some() && prologue_d.as_plain_load().is_some();
                if plain { "" } else { "pre" }
            }
            _ => "",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>4}  {:<18} {:<8} {:<34} {:>8} {:>8}  {:<18} part of the model",
            "#", "kernel", "fused", "shape", "GFLOP", "MB", "output"
        )?;
        for (i, launch) in self.launches.iter().enumerate() {
            writeln!(
                f,
                "{i:>4}  {:<18} {:<8} {:<34} {:>8.4} {:>8.3}  {:<18} {}",
                launch.kernel.name(),
                launch.fused(),
                launch.shapes(),
                launch.flops as f64 * 1e-9,
                launch.bytes as f64 * 1e-6,
                self.arena_name(&launch.outputs[0]),
                launch.label,
            )?;
        }
        write!(
            f,
            "{}: {} launches, {:.3} GFLOP, {:.1} MB moved, {:.1} MB scratch",
            self.name,
            self.launches.len(),
            self.flops() as f64 * 1e-9,
            self.bytes() as f64 * 1e-6,
            self.scratch_bytes() as f64 * 1e-6,
        )
    }
}
