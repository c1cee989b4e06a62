//! A run that several processes share: process 0 has the folder and says what time it is; all stop together.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::Change;
use super::{End, Session, SessionError};
use crate::exec::ExecError;
use crate::train::{Config, Counters, Group};

/// What is not in a store.
#[derive(Serialize, Deserialize)]
struct Shared {
    counters: Counters,
    config: Config,
    before: Duration,
    started: Duration,
    to_come: Vec<Change>,
    saved_at: Option<Counters>,
}

/// What a wish to end adds to the sum of all wishes.
const STOPPED: f32 = 1.0;
const DISCARDED: f32 = 1024.0;

impl Session {
    /// Shares the run with other processes: this one computes these slots of each batch. [`Session::meet`] comes next.
    pub fn join(&mut self, group: Box<dyn Group>, slots: Range<usize>) {
        self.trainer.join(group, slots);
    }

    /// Has the processes exchange weights every so many turns, and not gradients in each update
    /// ([`Trainer::sync_every`](crate::train::Trainer::sync_every)).
    pub fn sync_every(&mut self, turns: u64) {
        self.trainer.sync_every(turns);
    }

    /// What each of several processes calls before its first [`Session::advance`]: all go on from the state of process
    /// 0, the only one that needs to have been opened with a folder, or with a checkpoint.
    pub async fn meet(&mut self) -> Result<(), SessionError> {
        self.share().await?;
        self.agree();
        Ok(self.trainer.prepare_ahead()?)
    }

    /// Whether this process is the one that writes.
    pub(super) fn writes(&mut self) -> bool {
        self.trainer.group().is_none_or(|group| group.rank() == 0)
    }

    /// Ends all processes if one of them is to end, and takes the time of process 0, so that all of them come to the same
    /// conclusions.
    pub(super) fn agree(&mut self) {
        let clock = (self.clock)();
        let wish = match self.stop {
            None | Some(End::Finished) => 0.0,
            Some(End::Stopped) => STOPPED,
            Some(End::Discarded) => DISCARDED,
        };
        let Some(group) = self.trainer.group() else { return };
        // Seconds and milliseconds apart: each fits a number of 32 bits.
        let mut said = [wish, 0.0, 0.0];
        if group.rank() == 0 {
            said = [wish, clock.as_secs() as f32, clock.subsec_millis() as f32];
        }
        group.sum(&mut said);
        let [wishes, secs, millis] = said;
        self.agreed = Some(Duration::from_millis(1000 * secs as u64 + millis as u64));
        if wishes > 0.0 {
            self.stop = Some(if wishes >= DISCARDED { End::Discarded } else { End::Stopped });
        }
    }

    /// Gives all processes the state of process 0. Devices of several kinds round differently; this keeps what that adds
    /// up to as small as the number of steps between two checkpoints.
    pub(super) async fn share(&mut self) -> Result<(), SessionError> {
        let shared = Shared {
            counters: self.trainer.counters.clone(),
            config: self.trainer.config().clone(),
            before: self.before,
            started: self.started,
            to_come: self.to_come.iter().cloned().collect(),
            saved_at: self.saved_at.clone(),
        };
        let stores = self.trainer.state();
        let Some(group) = self.trainer.group() else { return Ok(()) };
        let mut text = serde_json::to_vec(&shared).expect("numbers have a JSON form");
        group.broadcast(&mut text);
        let shared: Shared = serde_json::from_slice(&text).expect("process 0 has written it");
        let changed = shared.config != *self.trainer.config();
        self.trainer.counters = shared.counters;
        self.trainer.setup.config = shared.config;
        if changed {
            self.trainer.forget_plans();
        }
        self.before = shared.before;
        self.started = shared.started;
        self.to_come = shared.to_come.into();
        self.saved_at = shared.saved_at;
        for (store, len) in stores {
            self.share_store(&store, len).await?;
        }
        Ok(())
    }

    async fn share_store(&mut self, store: &str, len: usize) -> Result<(), ExecError> {
        let values = self.trainer.executor.read(store, 0, len).await?;
        let mut bytes = bytemuck::cast_slice::<f32, u8>(&values).to_vec();
        let Some(group) = self.trainer.group() else { return Ok(()) };
        group.broadcast(&mut bytes);
        if group.rank() > 0 {
            self.trainer.executor.write(store, 0, &bytemuck::pod_collect_to_vec(&bytes))?;
        }
        Ok(())
    }
}
