//! What a device can do at most, measured on it: no launch computes faster than multiply-adds in registers, and none
//! reads and writes memory faster than a stream.

use std::time::Instant;

use onestep_kernels::peak;

use super::{ExecError, Executor};

/// Seconds that a timed run takes at least, so that starting it is a small part.
const LONG_ENOUGH: f64 = 0.03;
/// Timed runs; the best counts.
const RUNS: usize = 7;
/// Elements of the stream, read and written: 128 MiB each, which every browser lets a kernel bind, and far more than caches
/// hold.
pub const STREAM: usize = 32 << 20;

/// Rates that no launch exceeds, but for operands that come from a cache.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Operations per second of multiply-adds in registers, two each.
    pub flop_per_sec: f64,
    /// Bytes per second of a stream, read and written ones together.
    pub bytes_per_sec: f64,
}

impl Executor {
    /// Measures both, in about a second.
    ///
    /// # Errors
    /// If the device can't, or computes something else.
    pub fn rates(&mut self) -> Result<Rates, ExecError> {
        match self {
            Self::Cpu(_) => processor(),
            Self::Gpu(gpu) => gpu.rates(),
        }
    }
}

fn processor() -> Result<Rates, ExecError> {
    let flop_per_sec = fastest(1 << 16, usize::MAX, |rounds| match peak::multiply_adds(rounds) {
        (operations, 2.0) => Ok(operations),
        (_, mean) => Err(wrong("multiply-adds", mean, 2.0)),
    })?;
    let (from, mut to) = (vec![1.0; STREAM], vec![0.0; STREAM]);
    let bytes_per_sec = fastest(1, usize::MAX, |times| {
        (0..times).for_each(|_| peak::stream(&from, &mut to));
        match to[STREAM - 1] {
            2.0 => Ok((times * 8 * STREAM) as f64),
            last => Err(wrong("a stream", last, 2.0)),
        }
    })?;
    Ok(Rates { flop_per_sec, bytes_per_sec })
}

/// A device that does not compute what it should has no speed.
pub fn wrong(what: &str, got: f32, want: f32) -> ExecError {
    ExecError::Gpu(format!("{what} gave {got} instead of {want}: the device computes something else"))
}

/// The best rate of some runs of `job`, each long enough. `job` gets how much of its work to do, at first `size` and at most
/// `most`, and returns how much that was in the rate's unit.
pub fn fastest(
    size: usize,
    most: usize,
    mut job: impl FnMut(usize) -> Result<f64, ExecError>,
) -> Result<f64, ExecError> {
    let mut timed = |size| {
        let start = Instant::now();
        let amount = job(size)?;
        Ok::<_, ExecError>((amount, start.elapsed().as_secs_f64()))
    };
    let mut size = size;
    // The first run compiles and wakes the clock.
    timed(size)?;
    while size < most && timed(size)?.1 < LONG_ENOUGH {
        size = (2 * size).min(most);
    }
    let mut best = 0.0_f64;
    for _ in 0..RUNS {
        let (amount, secs) = timed(size)?;
        best = best.max(amount / secs);
    }
    Ok(best)
}
