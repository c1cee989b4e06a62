//! The engine in a browser: what `index.html` calls, in a Worker, so that the page stays live.
//!
//! Two objects: [`Engine`] draws from model files, [`Lab`] trains on points in the plane. Both run
//! on WebGPU or on the processor, with the same plans as the native program. Everything that comes
//! from a person (files, numbers) ends in an `Error` with a name that the page can tell apart,
//! never in a panic: a module that has panicked is dead.

mod device;
mod engine;
mod js;
mod lab;

pub use engine::Engine;
pub use lab::Lab;

use wasm_bindgen::prelude::*;

/// Runs when the module is loaded: a panic is our bug, and its words belong into the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| js::console_error(&info.to_string())));
}
