//! Threads and scratch memory of the kernels.
//!
//! Invariant: how work is cut into tasks depends on shapes alone, never on the number of threads,
//! and tasks write disjoint memory; so results have the same bits for any number of threads.
//! A browser's module has one thread, which runs everything.

#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;
use std::cell::Cell;

/// Below this many units of work (about a nanosecond each), waking threads costs more than it saves.
#[cfg(not(target_arch = "wasm32"))]
const WORTH_THREADS: usize = 16 * 1024;

/// Runs `job` on every item, on all threads if `work` (point operations altogether) is enough.
#[cfg(not(target_arch = "wasm32"))]
pub fn each<T: Send>(work: usize, items: Vec<T>, job: impl Fn(T) + Sync + Send) {
    if work < WORTH_THREADS || items.len() < 2 {
        items.into_iter().for_each(job);
    } else {
        items.into_par_iter().for_each(job);
    }
}

/// Runs `job` on every item, in order.
#[cfg(target_arch = "wasm32")]
pub fn each<T>(_work: usize, items: Vec<T>, job: impl Fn(T)) {
    items.into_iter().for_each(job);
}

/// Runs `job`, which calls [`each`] many times, on one of the threads. From any other thread, each of those calls would
/// hand over and sleep until it is done.
#[cfg(not(target_arch = "wasm32"))]
pub fn together<R: Send>(job: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| job())
}

/// Runs `job`.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn together<R>(job: impl FnOnce() -> R) -> R {
    job()
}

/// Number of threads that [`each`] uses.
pub fn threads() -> usize {
    #[cfg(target_arch = "wasm32")]
    return 1;
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
}

/// Cuts every output into chunks of `sizes[j]` elements: chunk `i` of all of them, with `i`.
pub fn chunks<'o>(outputs: &'o mut [&mut [f32]], sizes: &[usize]) -> Vec<(usize, Vec<&'o mut [f32]>)> {
    let mut parts: Vec<(usize, Vec<&mut [f32]>)> = Vec::new();
    for (output, &size) in outputs.iter_mut().zip(sizes) {
        for (i, chunk) in output.chunks_mut(size).enumerate() {
            if parts.len() <= i {
                parts.push((i, Vec::with_capacity(sizes.len())));
            }
            parts[i].1.push(chunk);
        }
    }
    parts
}

thread_local! {
    /// Buffers that kernels on this thread have returned.
    static SPARE: Cell<Vec<Vec<f32>>> = const { Cell::new(Vec::new()) };
}

/// Calls `job` with `len` elements of scratch memory whose content is unspecified.
pub fn with_scratch<R>(len: usize, job: impl FnOnce(&mut [f32]) -> R) -> R {
    let take = |change: &mut dyn FnMut(&mut Vec<Vec<f32>>)| {
        SPARE.with(|cell| {
            let mut spare = cell.take();
            change(&mut spare);
            cell.set(spare);
        });
    };
    let mut buffer = Vec::new();
    take(&mut |spare| buffer = spare.pop().unwrap_or_default());
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = job(&mut buffer[..len]);
    take(&mut |spare| spare.push(std::mem::take(&mut buffer)));
    result
}
