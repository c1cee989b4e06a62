//! Reads JSON: the headers of model files, and the settings in them.
//!
//! Why not `serde_json`: with the code that serde derives around it, it was an eighth of the module that a browser
//! loads, a third of that tables for reading and printing floats to the last bit. Where files are read and written
//! that no browser has, and as the oracle of this module's tests, it is used. Invariant: whatever the text is,
//! [`parse`] returns; depth is bounded.

mod fields;
mod parse;

pub use fields::{Fields, FromJson};
pub use parse::parse;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Flag(bool),
    /// A number: of up to 15 digits and a power of ten up to 22, the nearest; of others, one of the nearest.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order of the text.
    Object(Vec<(String, Json)>),
}

#[cfg(test)]
mod tests;
