//! What the tests share: comparison with named tolerances, reproducible values, and the GPU that
//! every GPU test runs on.
//!
//! Invariant: a comparison is positive. It fails on NaN, on an empty side, on a side compared with
//! itself, and on values that nobody wrote.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor, Limits};

/// Outputs are filled with this before a test, so that what a kernel leaves out is seen.
pub const POISON: f32 = -12345.0;

/// How far two results may differ.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// For the message.
    pub name: &'static str,
    /// Of the element's magnitude.
    pub relative: f32,
    /// Of the largest magnitude in the array.
    pub of_largest: f32,
}

/// The same bits.
pub const EXACT: Tolerance = Tolerance { name: "exact", relative: 0.0, of_largest: 0.0 };

/// One elementary function.
pub const FUNCTION: Tolerance = Tolerance { name: "function", relative: 1e-6, of_largest: 1.2e-7 };

/// A few roundings and elementary functions.
pub const ELEMENTWISE: Tolerance = Tolerance { name: "elementwise", relative: 4e-6, of_largest: 4e-7 };

/// Sums of `n` terms in different orders: rounding errors add like a random walk.
pub fn reduction(n: usize) -> Tolerance {
    let walk = f32::EPSILON * (n.max(4) as f32).sqrt();
    Tolerance { name: "reduction", relative: 2.0 * walk, of_largest: 2.0 * walk }
}

/// Several kernels in a row.
pub fn composed(n: usize) -> Tolerance {
    let one = reduction(n);
    Tolerance { name: "composed", relative: 8.0 * one.relative, of_largest: 8.0 * one.of_largest }
}

/// One side of a comparison.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Who computed it, such as `gpu`.
    pub name: &'a str,
    /// What came out.
    pub values: &'a [f32],
}

/// Compares two sides; the message tells the worst mismatches.
///
/// # Errors
/// If they differ by more than `tolerance`, or can't be compared.
pub fn compare(what: &str, got: Side<'_>, want: Side<'_>, tolerance: Tolerance) -> Result<(), String> {
    let fail =
        |why: String| Err(format!("{what}: {why} ({} against {}, tolerance {tolerance:?})", got.name, want.name));
    if got.name == want.name || std::ptr::eq(got.values.as_ptr(), want.values.as_ptr()) {
        return fail("a side is compared with itself".to_owned());
    }
    if got.values.is_empty() || got.values.len() != want.values.len() {
        return fail(format!("{} values against {}", got.values.len(), want.values.len()));
    }
    for side in [got, want] {
        if let Some(i) = side.values.iter().position(|v| !v.is_finite()) {
            return fail(format!("{} has {} at {i}", side.name, side.values[i]));
        }
        if let Some(i) = side.values.iter().position(|v| *v == POISON) {
            return fail(format!("{} did not write element {i}", side.name));
        }
    }
    let largest = want.values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let mut wrong: Vec<(f32, usize)> = Vec::new();
    for (i, (g, w)) in got.values.iter().zip(want.values).enumerate() {
        let error = (g - w).abs();
        let allowed = tolerance.relative * w.abs() + tolerance.of_largest * largest;
        #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must count as wrong")]
        if !(error <= allowed) {
            wrong.push((error, i));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let worst: Vec<String> = wrong
        .iter()
        .take(5)
        .map(|(e, i)| format!("[{i}] {} for {} (off by {e:e})", got.values[*i], want.values[*i]))
        .collect();
    fail(format!("{} of {} differ, worst: {}", wrong.len(), got.values.len(), worst.join(", ")))
}

/// Reproducible numbers in [-1, 1), different for each `seed`.
pub fn values(seed: u32, len: usize) -> Vec<f32> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    // The first states of a small seed are small numbers.
    (0..8).for_each(|_| {
        next();
    });
    (0..len).map(|_| next()).collect()
}

/// The GPU of the tests, with WebGPU's default limits, for one test at a time.
///
/// # Panics
/// If there is none. Tests don't skip what they are for.
pub fn gpu() -> MutexGuard<'static, GpuExecutor> {
    static GPU: OnceLock<Mutex<GpuExecutor>> = OnceLock::new();
    let executor = GPU.get_or_init(|| {
        let request = DeviceRequest { limits: Limits::Web, deterministic: true, ..DeviceRequest::default() };
        let executor = pollster::block_on(GpuExecutor::new(&request));
        Mutex::new(executor.unwrap_or_else(|e| {
            panic!("these tests need a GPU or a software one: on Debian, `apt-get install mesa-vulkan-drivers` ({e})")
        }))
    });
    // A failed test leaves nothing behind that the next one would read.
    executor.lock().unwrap_or_else(PoisonError::into_inner)
}
