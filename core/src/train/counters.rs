//! How far a run is.

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

#[cfg(feature = "native")]
use super::recipe::Recipe;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Plans run: the first word of every per-step random counter.
    pub runs: u32,
    /// Which phase of the recipe it is in.
    pub phase: usize,
    /// Turns done in this phase.
    pub turn: u64,
    /// Turns done in all.
    pub turns: u64,
    /// Runs of each update.
    pub updates: LiteMap<String, u64>,
    /// Steps that each network's optimizer has made since it began anew.
    pub adam: LiteMap<String, u64>,
}

/// The counters of checkpoints of version 1, when there was one method.
#[cfg(feature = "native")]
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct CountersV1 {
    runs: u32,
    warmup: u64,
    ratio: u64,
    generator: u64,
    generator_updates: u64,
}

impl Counters {
    /// Runs of an update.
    pub fn of(&self, update: &str) -> u64 {
        self.updates.get(update).copied().unwrap_or(0)
    }

    /// Steps of a network's optimizer since it began anew.
    pub fn adam(&self, network: &str) -> u64 {
        self.adam.get(network).copied().unwrap_or(0)
    }

    pub(super) fn count(&mut self, update: &str) {
        *self.updates.entry(update.to_owned()).or_default() += 1;
    }

    pub(super) fn count_adam(&mut self, network: &str) {
        *self.adam.entry(network.to_owned()).or_default() += 1;
    }

    /// Those of a checkpoint of version 1.
    #[cfg(feature = "native")]
    pub(crate) fn from_v1(old: CountersV1, recipe: &Recipe, warmup_steps: u64) -> Self {
        let warming_up = old.warmup < warmup_steps && old.generator == 0;
        let named = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        Self {
            runs: old.runs,
            phase: if warming_up { 0 } else { recipe.phases.len() - 1 },
            turn: if warming_up { old.warmup } else { old.generator },
            turns: old.warmup + old.generator,
            updates: named(&[("warmup", old.warmup), ("ratio", old.ratio), ("generator", old.generator)]),
            adam: named(&[("generator", old.generator_updates), ("ratio", old.ratio)]),
        }
    }
}
