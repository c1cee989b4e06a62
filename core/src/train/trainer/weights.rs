//! Weights of a run's networks: read, written, and passed on at the end of a phase.

use super::super::recipe::Handover;
#[cfg(not(target_arch = "wasm32"))]
use super::super::recipe::{Mode, Network};
use super::super::step::store_len;
#[cfg(not(target_arch = "wasm32"))]
use super::super::whole::whole;
use super::{GRID, SAMPLES, TrainError, Trainer, sample_batch};
use crate::exec::ExecError;
use crate::nets::{Draw, ParamLayout, latent};
use crate::sampling::Walk;

impl Trainer {
    /// Names, shapes and places of a network's parameters.
    ///
    /// # Panics
    /// If the run has no network of that name.
    pub fn layout(&self, network: &str) -> &ParamLayout {
        let at = self.recipe.networks.iter().position(|other| other.name == network);
        &self.layouts[at.unwrap_or_else(|| panic!("the run has no network `{network}`"))]
    }

    /// Weights and their average, `values` in the layout of the network; its optimizer starts anew.
    pub fn set_weights(&mut self, network: &str, values: &[f32]) -> Result<(), ExecError> {
        let zeros = vec![0.0; store_len(self.layout(network).len)];
        let stores = self.recipe.network(network).map_or(&[][..], |network| network.state());
        for store in stores {
            let content = if matches!(*store, "m" | "v") { &zeros[..] } else { values };
            self.executor.write(&format!("{network}.{store}"), 0, content)?;
        }
        self.counters.adam.remove(network);
        Ok(())
    }

    /// A store of a network in the length of its layout: `param`, `ema`, `m` or `v`.
    pub async fn weights(&self, network: &str, store: &str) -> Result<Vec<f32>, ExecError> {
        self.executor.read(&format!("{network}.{store}"), 0, self.layout(network).len).await
    }

    /// The best weights of a network: averaged, if it is trained.
    pub async fn best_weights(&self, network: &str) -> Result<Vec<f32>, ExecError> {
        let store = self.recipe.network(network).map_or("param", |network| network.best());
        self.weights(network, store).await
    }

    /// The best weights of a network as one that needs no other, and their layout: those of an adapter are the weights that
    /// it is on with its changes.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn whole_weights(&self, network: &str) -> Result<(ParamLayout, Vec<f32>), TrainError> {
        let own = self.best_weights(network).await?;
        match self.recipe.network(network) {
            Some(Network { net, mode: Mode::Adapter { of, rank }, .. }) => {
                let base = self.best_weights(of).await?;
                Ok((net.generator_layout(), whole(net, *rank, &base, &own)?))
            }
            _ => Ok((self.layout(network).clone(), own)),
        }
    }

    /// The store of the weights that samples are drawn from.
    pub(in crate::train) fn drawn_store(&mut self) -> Result<String, TrainError> {
        let drawn = self.drawn();
        let (name, best) = (drawn.name, drawn.best());
        #[cfg(not(target_arch = "wasm32"))]
        if matches!(drawn.mode, Mode::Adapter { .. }) {
            let (layout, weights) = pollster::block_on(self.whole_weights(name))?;
            let store = format!("{name}.whole");
            if self.executor.store_len(&store).is_none() {
                self.executor.create_store(&store, layout.len)?;
            }
            self.executor.write(&store, 0, &weights)?;
            return Ok(store);
        }
        Ok(format!("{name}.{best}"))
    }

    /// Passes weights from network to network. What is saved is the session's to do.
    pub async fn hand_over(&mut self, handover: Handover) -> Result<(), TrainError> {
        match handover {
            Handover::Copy { from, to } => {
                let weights = self.best_weights(from).await?;
                let copies = self.layout(to).len / weights.len();
                self.set_weights(to, &weights.repeat(copies))?;
            }
            Handover::Encoder { from, to } => {
                let source = self.best_weights(from).await?;
                let mut weights = self.weights(to, "param").await?;
                self.layout(to).transfer(&mut weights, self.layout(from), &source);
                self.set_weights(to, &weights)?;
            }
            Handover::Save(..) => {}
            Handover::Collect { draw, into, rows, guided } => {
                let guidance = (guided && self.setup.guides()).then_some(self.setup.config.guidance);
                self.collect(&draw, into, rows, guidance).await?;
            }
        }
        Ok(())
    }

    /// Fills stores with latents and with what the network that is drawn from makes of them.
    async fn collect(
        &mut self,
        draw: &Draw,
        [latents, samples]: [&str; 2],
        rows: usize,
        guidance: Option<f32>,
    ) -> Result<(), TrainError> {
        /// Seeds of these latents; those of pictures and measurements are below.
        const HALF: u32 = 1 << 31;
        let (width, batch) = (self.setup.data.width(), sample_batch(&self.setup.data));
        let params = self.drawn_store()?;
        let net = self.drawn().net.clone();
        let walk = Walk::guided(&mut self.executor, &net, draw.clone(), GRID, &params, batch, guidance)?;
        // Others in each run, and in each phase.
        let number = u64::from(self.setup.config.seed) * self.recipe.phases.len() as u64 + self.counters.phase as u64;
        let seed = |row: usize| HALF | (number.wrapping_mul(rows as u64).wrapping_add(row as u64) as u32 & (HALF - 1));
        for first in (0..rows).step_by(batch) {
            let rows = first..(first + batch).min(rows);
            let of_seeds: Vec<f32> = rows.flat_map(|row| latent(seed(row), width)).collect();
            walk.draw(&mut self.executor, &of_seeds)?;
            let drawn = self.executor.read(SAMPLES, 0, of_seeds.len()).await?;
            self.executor.write(latents, first * width, &of_seeds)?;
            self.executor.write(samples, first * width, &drawn)?;
        }
        walk.release(&mut self.executor);
        Ok(())
    }

    /// Gives the network that a warm-up would train its weights, and the others what they take from it.
    pub async fn begin_with(&mut self, weights: &[f32]) -> Result<(), TrainError> {
        self.set_weights(self.recipe.begins_with().name, weights)?;
        for handover in self.recipe.inherit.clone() {
            self.hand_over(handover).await?;
        }
        Ok(())
    }
}
