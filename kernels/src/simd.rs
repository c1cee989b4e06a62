//! Runs a loop with the best instruction set of the machine.
//!
//! The build is for plain x86-64 (or wasm), so a loop that is compiled once knows only 128-bit
//! vectors. [`run`] compiles a job once per instruction set and picks at run time; functions
//! inside [`vectorised!`](crate::vectorised) are such jobs. Invariant: everything that a job calls in its
//! hot loop is `#[inline(always)]`, or it would be compiled for the baseline again. (Which is why
//! a job is not a closure: the compiler leaves large closures out of line.)

#[cfg(not(target_arch = "wasm32"))]
use pulp::Arch;
use pulp::{Simd, WithSimd};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::OnceLock;

/// An operand of a block: one number per point, or one for all.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// One number per point.
    Slice(&'a [f32]),
    /// The same number everywhere.
    Splat(f32),
}

/// The machine's best instruction set; detected once.
///
/// `ONESTEP_SIMD=scalar` or `avx2` asks for a lesser one, to test and measure what other
/// machines run.
#[cfg(not(target_arch = "wasm32"))]
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match std::env::var("ONESTEP_SIMD").as_deref() {
        Ok("scalar") => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        _ => Arch::new(),
    })
}

/// Makes functions whose bodies are compiled for each instruction set, which they know as `S`.
#[macro_export]
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {
        $($(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            struct Job<A>(A);
            impl pulp::WithSimd for Job<($($ty,)*)> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) {
                    let ($($arg,)*) = self.0;
                    $body
                }
            }
            $crate::simd::run(Job(($($arg,)*)));
        })*
    };
}

/// Calls `job` compiled for the machine's best instruction set.
#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
pub fn run<J: WithSimd>(job: J) -> J::Output {
    arch().dispatch(job)
}

/// Calls `job` with the vectors that the module was built for: a browser compiles a module as a
/// whole, and refuses one with instructions that it does not know.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn run<J: WithSimd>(job: J) -> J::Output {
    #[cfg(target_feature = "simd128")]
    return Simd::vectorize(pulp::wasm::Simd128::try_new().expect("the module was built for vectors"), job);
    #[cfg(not(target_feature = "simd128"))]
    return Simd::vectorize(pulp::Scalar, job);
}

/// Floats per vector.
pub fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    run(Lanes)
}

/// `a * b + c`, rounded once where the instruction set can, else twice: without the instruction,
/// `f32::mul_add` would be a call into libm.
#[inline(always)]
pub fn fma<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if !S::IS_SCALAR && cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// `dst[i] = f(a[i])`.
#[inline(always)]
pub fn map1(dst: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32) {
    for (d, &x) in dst.iter_mut().zip(a) {
        *d = f(x);
    }
}

/// `dst[i] = f(a[i], b[i])`.
#[inline(always)]
pub fn map2(dst: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) {
    for ((d, &x), &y) in dst.iter_mut().zip(a).zip(b) {
        *d = f(x, y);
    }
}

/// `dst[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
pub fn map3(dst: &mut [f32], a: &[f32], b: &[f32], c: &[f32], f: impl Fn(f32, f32, f32) -> f32) {
    for (((d, &x), &y), &z) in dst.iter_mut().zip(a).zip(b).zip(c) {
        *d = f(x, y, z);
    }
}

/// `acc[i] += x[i]`.
#[inline(always)]
pub fn add_to(acc: &mut [f32], x: &[f32]) {
    for (a, &v) in acc.iter_mut().zip(x) {
        *a += v;
    }
}

vectorised! {
    /// `acc[i] += x[i]`, compiled for each instruction set.
    pub fn add(acc: &mut [f32], x: &[f32]) {
        add_to(acc, x);
    }
}
