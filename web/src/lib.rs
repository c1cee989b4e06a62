//! The engine in a browser: what `index.html` calls, in a Worker, so that the page stays live.
//!
//! Two objects: `Engine` draws from model files, `Lab` trains on points in the plane, each in a module of its own (the
//! features `engine` and `lab`), so that a visitor who only looks at pictures loads nothing that trains. Both run
//! on WebGPU or on the processor, with the same plans as the native program. Everything that comes
//! from a person (files, numbers) ends in an `Error` with a name that the page can tell apart,
//! never in a panic: a module that has panicked is dead.

#![cfg_attr(not(all(feature = "engine", feature = "lab")), allow(dead_code))]

mod device;
#[cfg(feature = "engine")]
mod engine;
mod js;
#[cfg(feature = "lab")]
mod lab;

#[cfg(feature = "engine")]
pub use engine::Engine;
#[cfg(feature = "lab")]
pub use lab::{Lab, methods};

use wasm_bindgen::prelude::*;

/// Runs when the module is loaded: a panic is our bug, and its words belong into the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| js::console_error(&info.to_string())));
}
