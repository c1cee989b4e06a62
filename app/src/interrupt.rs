//! Ctrl-C: the first one asks for a clean end, the second one leaves at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code of a program that Ctrl-C ended, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// Takes over Ctrl-C (and the signal that asks a program to end).
pub fn install() -> anyhow::Result<()> {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("saving; press Ctrl-C again to leave at once");
    };
    ctrlc::set_handler(handler).context("taking over Ctrl-C")
}

/// Whether the program should come to an end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
