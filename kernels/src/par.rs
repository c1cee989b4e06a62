//! Threads and scratch memory of the kernels.
//!
//! Invariant: how work is cut into tasks depends on shapes alone, never on the number of threads,
//! and tasks write disjoint memory; so results have the same bits for any number of threads.
//! A browser's module has one thread, which runs everything.

#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;
use std::cell::Cell;
#[cfg(not(target_arch = "wasm32"))]
use std::{
    sync::{Arc, Mutex, TryLockError, Weak},
    time::Instant,
};

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

/// How long a thread looks for work before it sleeps, while a job that [`together`] runs goes on. To wake one takes longer
/// than many a kernel.
#[cfg(not(target_arch = "wasm32"))]
const PATIENCE: std::time::Duration = std::time::Duration::from_micros(200);

/// Runs `job`, which calls [`each`] many times, on one of the threads. From any other thread, each of those calls would
/// hand over and sleep until it is done. The other threads stay awake meanwhile, unless they do so for another job.
#[cfg(not(target_arch = "wasm32"))]
pub fn together<R: Send>(job: impl FnOnce() -> R + Send) -> R {
    static AWAKE: Mutex<()> = Mutex::new(());
    rayon::scope(|_| {
        // One job's at a time: a thread that waits for its own tasks may come to look for those of another job.
        let _only = match AWAKE.try_lock() {
            Err(TryLockError::WouldBlock) => return job(),
            Ok(only) => only,
            Err(TryLockError::Poisoned(only)) => only.into_inner(),
        };
        let going = Arc::new(());
        let (seen, here) = (Arc::downgrade(&going), rayon::current_thread_index());
        rayon::spawn_broadcast(move |thread| {
            if Some(thread.index()) != here {
                look_for_work(&seen);
            }
        });
        job()
    })
}

/// Takes what work there is, until there was none for [`PATIENCE`], or that whose tasks are looked for is gone.
#[cfg(not(target_arch = "wasm32"))]
fn look_for_work(going: &Weak<()>) {
    let mut last = Instant::now();
    while going.strong_count() > 0 && last.elapsed() < PATIENCE {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            last = Instant::now();
        }
        (0..16).for_each(|_| std::hint::spin_loop());
    }
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    /// Threads that stay awake for one job take tasks of the others, too, and come back from them.
    #[test]
    fn jobs_of_several_threads_come_to_their_ends() {
        let job = |number: usize| {
            let mut sums = vec![0; 64];
            together(|| {
                for round in 0..200 {
                    let tasks = sums.iter_mut().enumerate().collect();
                    each(WORTH_THREADS, tasks, |(i, sum): (usize, &mut usize)| *sum += i * number + round);
                }
            });
            assert!(sums.iter().enumerate().all(|(i, sum)| *sum == 200 * i * number + 199 * 100));
        };
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || (0..20).for_each(|_| job(number)));
            }
        });
    }
}
