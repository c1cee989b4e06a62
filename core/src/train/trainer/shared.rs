//! A run that several processes share: who computes what, and when they become equal.

use std::ops::Range;

use super::{TrainError, Trainer};
use crate::train::group::Group;

impl Trainer {
    /// Shares the run with other processes: here these slots of each batch are computed.
    pub fn join(&mut self, group: Box<dyn Group>, slots: Range<usize>) {
        self.forget_plans();
        self.group = Some(group);
        self.slots = slots;
    }

    /// Lets each process train by itself, on its part of each batch as if that were all, for so many turns: then all go on
    /// from the mean of their weights, and of all else that is remembered ("local SGD", arXiv 1805.09767).
    pub fn sync_every(&mut self, turns: u64) {
        self.sync_every = turns;
    }

    /// The other processes of the run, if there are any.
    pub fn group(&mut self) -> Option<&mut dyn Group> {
        self.group.as_deref_mut().map(|group| group as &mut dyn Group)
    }

    /// Gives all processes the mean of what each of them has, weighted by its part of the batch. Nothing to do where they
    /// have the same anyway.
    pub fn average(&mut self) -> Result<(), TrainError> {
        if self.sync_every == 0 {
            return Ok(());
        }
        let share = self.slots.len() as f32 / self.setup.config.batch as f32;
        let state = self.state();
        let Some(group) = &mut self.group else { return Ok(()) };
        for (store, len) in state {
            let mut values = pollster::block_on(self.executor.read(&store, 0, len))?;
            for x in &mut values {
                *x *= share;
            }
            group.sum(&mut values);
            self.executor.write(&store, 0, &values)?;
        }
        Ok(())
    }
}
