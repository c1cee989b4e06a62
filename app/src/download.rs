//! Loading data sets with a bar for those that have to be downloaded.

use std::ops::ControlFlow;

use onestep_core::data::{DataError, Dataset, LoadOptions, Progress, load_with_progress};

use crate::interrupt;
use crate::output::{bytes, note, progress};

/// Calls `load` with a callback that shows the files of a download, one after the other; Ctrl-C stops it.
pub fn with_bar<T>(quiet: bool, load: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> T) -> T {
    let bar = progress(quiet, 0, "bytes");
    let mut current = None;
    let result = load(&mut |state: Progress| {
        interrupt::begin();
        if current != Some(state.index) {
            current = Some(state.index);
            bar.set_length(state.total_bytes);
            bar.reset();
            let size = bytes(state.total_bytes);
            bar.suspend(|| note(quiet, format_args!("downloading {} ({size})", state.file)));
        }
        bar.set_position(state.done_bytes);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    result
}

/// Loads a data set.
pub fn load_with_bar(spec: &str, options: &LoadOptions, quiet: bool) -> Result<Dataset, DataError> {
    with_bar(quiet, |on_progress| load_with_progress(spec, options, on_progress))
}
