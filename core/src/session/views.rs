//! What a host looks at between two iterations, and what it may run outside of their order.

use litemap::LiteMap;

use super::{Event, Session, SessionError};
use crate::exec::{Executor, LaunchTime};
#[cfg(not(target_arch = "wasm32"))]
use crate::train::PathValues;
use crate::train::{FieldOfView, FieldValues, TrainingData, sample_batch};

impl Session {
    /// The fixed latents `[n, ..]` that [`Event::Grid`] has the samples of.
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// The samples of the fixed latents `[n, ..]`, as in [`Event::Grid`].
    pub async fn samples(&mut self) -> Result<Vec<f32>, SessionError> {
        Ok(self.trainer.sample(&self.latents).await?)
    }

    /// What the method shows on a square of `side x side` points of half width `half_width`, at a noise
    /// level; for data in the plane. Empty if it shows nothing there.
    pub async fn field(&mut self, side: usize, half_width: f32, sigma: f32) -> Result<FieldValues, SessionError> {
        let Some(see) = self.trainer.recipe().field() else { return Ok(FieldValues::default()) };
        if self.field.is_none() {
            self.field = Some(FieldOfView::new(&mut self.trainer, see, side, half_width)?);
        }
        let field = self.field.as_ref().expect("made above");
        Ok(field.read(&mut self.trainer.executor, sigma).await?)
    }

    /// The paths of the first `rows` of the fixed latents that the method shows in the present phase, if it shows any.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn paths(&mut self, rows: usize) -> Result<Option<PathValues>, SessionError> {
        let latents = &self.latents[..rows * self.trainer.setup.data.width()];
        Ok(self.paths.read(&mut self.trainer, latents).await?)
    }

    /// The averaged generator at other latents `[n, ..]`: `[n, ..]`, for pictures of its map. With K classes, row i
    /// has class i mod K.
    pub async fn map(&mut self, latents: &[f32]) -> Result<Vec<f32>, SessionError> {
        let width = self.trainer.setup.data.width();
        let rows = sample_batch(&self.trainer.setup.data);
        // Whole cycles of the classes.
        let rows = rows - rows % self.trainer.setup.network.classes().max(1);
        let mut samples = Vec::with_capacity(latents.len());
        for batch in latents.chunks(rows * width) {
            samples.extend(self.trainer.sample(batch).await?);
        }
        Ok(samples)
    }

    /// Draws the samples of the fixed latents into the store `grid.sample` and leaves them on the device, for hosts
    /// that show them from there.
    pub fn refresh(&mut self) -> Result<(), SessionError> {
        Ok(self.trainer.draw(&self.latents)?)
    }

    /// The updates of the present phase, in the order of a turn.
    pub fn updates(&self) -> Vec<&'static str> {
        self.trainer.phase().turn.iter().map(|(_, update)| update.name).collect()
    }

    /// Compiles an update ahead of its first run, for hosts that say so meanwhile.
    pub fn prepare(&mut self, update: &str) -> Result<(), SessionError> {
        self.trainer.prepare(update)?;
        Ok(())
    }

    /// Runs one update, outside of the run's order, and times each launch. The run is as it was before.
    pub async fn profile(&mut self, update: &str) -> Result<Vec<LaunchTime>, SessionError> {
        Ok(self.trainer.profile_aside(update).await?)
    }

    /// Adds what the host has measured of the run at its present step to the statistics, such as `Quality/kl_grid`.
    pub fn measured(&mut self, values: LiteMap<String, f64>) {
        self.tell(Event::Statistics { step: self.iterations(), values });
    }

    /// The device, for hosts that measure it.
    pub fn executor(&mut self) -> &mut Executor {
        &mut self.trainer.executor
    }

    /// Where the run writes, if it does.
    #[cfg(feature = "native")]
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_ref().map(super::RunFolder::path)
    }

    /// The run's data.
    pub fn data(&self) -> &TrainingData {
        &self.data
    }
}
