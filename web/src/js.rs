//! Small bridges to JavaScript: plain objects, named errors, a clock.

use std::time::Duration;

use js_sys::{Object, Reflect};
use onestep_core::exec::ExecError;
use onestep_core::sampling::SamplingError;
use onestep_core::session::SessionError;
use onestep_core::train::TrainError;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `console.error`
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn console_error(text: &str);
}

/// A plain object with these properties.
pub fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in properties {
        Reflect::set(&object, &JsValue::from_str(name), value).expect("a plain object takes any property");
    }
    object.into()
}

/// Numbers as a `Float32Array`.
pub fn floats(values: &[f32]) -> JsValue {
    js_sys::Float32Array::from(values).into()
}

/// Bytes as a `Uint8Array`.
pub fn bytes(values: &[u8]) -> JsValue {
    js_sys::Uint8Array::from(values).into()
}

/// An `Error` whose `name` tells the page what to do.
pub fn error(name: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name(name);
    error.into()
}

/// Milliseconds since some moment.
pub fn now_ms() -> f64 {
    js_sys::Date::now()
}

/// The same as the clock of a session.
pub fn clock() -> Duration {
    Duration::from_secs_f64(now_ms().max(0.0) / 1000.0)
}

/// The error of an executor, by name.
fn exec_error(error: &ExecError) -> &'static str {
    match error {
        ExecError::DeviceLost(_) => "DeviceLost",
        ExecError::NoAdapter(_) => "NoAdapter",
        ExecError::Limit { .. } | ExecError::NoMemory { .. } => "TooLarge",
        ExecError::Gpu(text) if text.to_ascii_lowercase().contains("memory") => "OutOfMemory",
        ExecError::Gpu(_) => "Gpu",
        _ => "Failed",
    }
}

/// Errors of drawing, as the page sees them.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` passes")]
pub fn sampling_error(failure: SamplingError) -> JsValue {
    let name = match &failure {
        SamplingError::Exec(failure) => exec_error(failure),
        SamplingError::Model(_) => "BadModel",
        SamplingError::NotFinite { .. } => "Diverged",
        SamplingError::Canary { .. } => "Canary",
        SamplingError::Plan(_) | SamplingError::Class { .. } => "Failed",
    };
    error(name, &failure.to_string())
}

/// Errors of training, as the page sees them.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` passes")]
pub fn session_error(failure: SessionError) -> JsValue {
    let name = match &failure {
        SessionError::Train(TrainError::Exec(failure)) => exec_error(failure),
        SessionError::Train(TrainError::NonFinite { .. }) => "Diverged",
        _ => "Failed",
    };
    error(name, &failure.to_string())
}
