//! Packed weights that outlive a run. For a single image of `mnist`, packing was two fifths of the time.
//!
//! Not in a browser, which knows no Winograd and so packs fast: it would be 1 kB to load before the first picture.

#[cfg(target_arch = "wasm32")]
pub use browser::{Kept, Shelf};
#[cfg(not(target_arch = "wasm32"))]
pub use native::{Kept, Shelf};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use crate::exec::cpu::memory::Memory;
    use crate::plan::{ArenaKind, ConvShape, Kernel, Launch, Plan};
    use onestep_kernels::winograd::POINTS;

    /// The packed weights of a launch.
    #[derive(Debug, Default)]
    pub struct Kept {
        packed: Vec<f32>,
        /// The write of the weights' store that they were made from ([`Memory::written`]).
        of: u64,
        /// The last write of that store.
        now: u64,
    }

    impl Kept {
        /// `len` numbers that `pack` makes of the weights, if it did not do so before.
        pub fn packed(&mut self, len: usize, pack: impl FnOnce(&mut [f32])) -> &[f32] {
            if self.of != self.now {
                self.packed.resize(len, 0.0);
                pack(&mut self.packed);
                self.of = self.now;
            }
            &self.packed
        }
    }

    /// What the launches of a plan keep, by their numbers.
    #[derive(Debug)]
    pub struct Shelf(Vec<Option<Kept>>);

    impl Shelf {
        /// Room for the launches whose weights few rows share, and which the plan does not change.
        pub fn new(plan: &Plan) -> Self {
            const ROWS: usize = 1024;
            /// Of all launches; a network of large weights packs what is beyond for each run.
            const BYTES: usize = 64 << 20;
            let mut bytes = 0;
            let writes = |arena| plan.launches.iter().flat_map(|other| &other.outputs).any(|out| out.arena == arena);
            let mut keeps = |launch: &Launch| {
                // Rows, and as many numbers as are packed at most.
                let (rows, numbers) = match launch.kernel {
                    Kernel::Conv2d { shape: ConvShape { b, h, w, ci, co, k }, .. } => {
                        (b * h * w, if k == 3 { POINTS } else { k * k } * ci * co)
                    }
                    Kernel::MatMul { batch: 1, m, n, k, .. } => (m, n * k),
                    _ => return false,
                };
                let weights = launch.inputs[0].arena;
                let is_store = matches!(plan.arenas[weights].kind, ArenaKind::Store(_));
                let wanted = rows <= ROWS && is_store && !writes(weights);
                bytes += if wanted { 4 * numbers } else { 0 };
                wanted && bytes <= BYTES
            };
            Self(plan.launches.iter().map(|launch| keeps(launch).then(Kept::default)).collect())
        }

        /// Before a run: sees whether weights have been written.
        pub fn look(&mut self, plan: &Plan, memory: &Memory) {
            for (launch, kept) in plan.launches.iter().zip(&mut self.0) {
                let Some(kept) = kept else { continue };
                if let ArenaKind::Store(weights) = &plan.arenas[launch.inputs[0].arena].kind {
                    kept.now = memory.written(weights);
                }
            }
        }

        /// What a launch keeps.
        pub fn of(&mut self, launch: usize) -> Option<&mut Kept> {
            self.0[launch].as_mut()
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod browser {
    use crate::exec::cpu::memory::Memory;
    use crate::plan::Plan;

    /// Nothing is kept.
    #[derive(Debug)]
    pub enum Kept {}

    impl Kept {
        pub fn packed(&mut self, _: usize, _: impl FnOnce(&mut [f32])) -> &[f32] {
            match *self {}
        }
    }

    /// An empty shelf.
    #[derive(Debug)]
    pub struct Shelf;

    impl Shelf {
        pub fn new(_: &Plan) -> Self {
            Self
        }

        pub fn look(&mut self, _: &Plan, _: &Memory) {}

        pub fn of(&mut self, _: usize) -> Option<&mut Kept> {
            None
        }
    }
}
