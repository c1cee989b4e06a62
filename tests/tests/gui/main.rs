//! The desktop trainer, driven by the labels of its controls as a person or a screen reader would.
//!
//! Real sessions train on the CPU executor (one test on a GPU); nothing is drawn on a screen.

mod controls;
mod failures;
mod harness;
mod list;
mod runs;
mod settings;
mod tasks;
mod views;
