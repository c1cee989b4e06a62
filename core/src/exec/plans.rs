//! What an executor has prepared.

use std::ops::{Index, IndexMut};

use super::PlanId;

/// Prepared plans by id. The id of a released one is given out again.
#[derive(Debug)]
pub(super) struct Plans<T> {
    slots: Vec<Option<T>>,
}

impl<T> Default for Plans<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> Plans<T> {
    pub fn add(&mut self, plan: T) -> PlanId {
        let free = self.slots.iter().position(Option::is_none);
        let at = free.unwrap_or(self.slots.len());
        if free.is_none() {
            self.slots.push(None);
        }
        self.slots[at] = Some(plan);
        PlanId(at)
    }

    /// Drops a plan, which must not be run again.
    pub fn release(&mut self, plan: PlanId) {
        self.slots[plan.0] = None;
    }

    /// Plans that are there.
    pub fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }
}

impl<T> Index<PlanId> for Plans<T> {
    type Output = T;
    fn index(&self, plan: PlanId) -> &T {
        self.slots[plan.0].as_ref().expect("the plan was released")
    }
}

impl<T> IndexMut<PlanId> for Plans<T> {
    fn index_mut(&mut self, plan: PlanId) -> &mut T {
        self.slots[plan.0].as_mut().expect("the plan was released")
    }
}
