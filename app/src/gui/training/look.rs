//! What the window looks at while a run goes on, and how it is computed.

use onestep_core::session::{Session, SessionError};
use onestep_core::train::{Config, Counters, FieldValues, PathValues};

use super::quality::{Judge, Quality};

/// Points along a side of the field.
pub const FIELD: usize = 32;
/// Lines in each direction of the latent map.
const LINES: usize = 17;
/// Points along a line of the latent map.
const LINE_POINTS: usize = 33;
/// Paths from noise to data.
const PATHS: usize = 48;
/// How far the latent map reaches, in standard deviations.
const LATENT_REACH: f32 = 2.0;

/// What the window wants to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// The method's field over the plane, at this noise level.
    pub field: Option<f32>,
    /// The generator's map of a latent grid.
    pub map: bool,
    /// The method's paths from noise to data.
    pub paths: bool,
    /// Share of the device's time that training may take, 0.05 to 1.
    pub share: f32,
    /// Shortest time between two views while the run goes on, in seconds.
    pub period_secs: f32,
    /// Seconds that a frame of the window takes: a part of looking.
    pub frame_secs: f32,
    /// Where the samples are wanted: read back, or left in the buffer that the window draws from.
    pub read_back: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self { field: None, map: false, paths: false, share: 1.0, period_secs: 0.033, frame_secs: 0.0, read_back: true }
    }
}

/// Lines of the latent plane, mapped by the generator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatentMap {
    /// Each a polyline.
    pub lines: Vec<Vec<[f32; 2]>>,
}

/// What there is to see of a run.
#[derive(Clone, Debug)]
pub struct View {
    /// Turns done, of all phases.
    pub step: u64,
    /// How far it is.
    pub counters: Counters,
    /// Turns of the present phase in all.
    pub length: u64,
    /// The settings in force.
    pub config: Config,
    /// Samples of the fixed latents `[n, ..shape]`; none if they stay on the device.
    pub samples: Option<Vec<f32>>,
    /// The method's field, and the noise level at which it was evaluated.
    pub field: Option<(FieldValues, f32)>,
    /// The generator's map.
    pub map: Option<LatentMap>,
    /// The method's paths from noise to data.
    pub paths: Option<PathValues>,
    /// What the method shows by noise level.
    pub levels: Vec<f32>,
    /// Quality of 2-D samples.
    pub quality: Option<Quality>,
    /// Bytes of each store and arena.
    pub memory: Vec<(String, u64)>,
}

/// Latents of the lines, `[n, 2]`.
fn lattice() -> Vec<f32> {
    let at = |i: usize, n: usize| (i as f32 / (n - 1) as f32 * 2.0 - 1.0) * LATENT_REACH;
    let line = |i: usize, across: bool| {
        (0..LINE_POINTS).flat_map(move |j| {
            let (a, b) = (at(i, LINES), at(j, LINE_POINTS));
            if across { [a, b] } else { [b, a] }
        })
    };
    (0..LINES).flat_map(|i| line(i, true)).chain((0..LINES).flat_map(|i| line(i, false))).collect()
}

/// Looks at a run.
pub async fn look(
    session: &mut Session,
    wish: &Wish,
    half_width: f32,
    judge: Option<&Judge>,
) -> Result<View, SessionError> {
    let planar = judge.is_some();
    let mut map = None;
    if planar && wish.map {
        let points = session.map(&lattice()).await?;
        let points: &[[f32; 2]] = points.as_chunks().0;
        map = Some(LatentMap { lines: points.chunks(LINE_POINTS).map(<[_]>::to_vec).collect() });
    }
    let samples = if wish.read_back || planar {
        Some(session.samples().await?)
    } else {
        session.refresh()?;
        None
    };
    let mut field = None;
    if let (true, Some(sigma), Some(_)) = (planar, wish.field, session.trainer().recipe().field()) {
        field = Some((session.field(FIELD, half_width, sigma).await?, sigma));
    }
    let paths = if planar && wish.paths { session.paths(PATHS).await? } else { None };
    let quality = match (judge, &samples) {
        (Some(judge), Some(samples)) => judge.measure(samples),
        _ => None,
    };
    let trainer = session.trainer();
    let levels = trainer.levels().await?;
    Ok(View {
        step: session.iterations(),
        counters: trainer.counters.clone(),
        length: trainer.length(),
        config: trainer.config().clone(),
        samples,
        field,
        map,
        paths,
        levels,
        quality,
        memory: trainer.executor.memory(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lattice_has_lines_both_ways() {
        let points = lattice();
        let points: &[[f32; 2]] = points.as_chunks().0;
        assert_eq!(points.len(), 2 * LINES * LINE_POINTS);
        assert_eq!(points[0], [-LATENT_REACH; 2]);
        assert_eq!(points[LINE_POINTS - 1], [-LATENT_REACH, LATENT_REACH]);
        assert_eq!(points[LINES * LINE_POINTS + 1][1], -LATENT_REACH);
        assert_eq!(points.last(), Some(&[LATENT_REACH; 2]));
    }
}
