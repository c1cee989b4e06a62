//! What can go wrong with data, in words that name the file and the way out.

#[cfg(feature = "native")]
use crate::files::FileError;
#[cfg(feature = "native")]
use std::{io, path::PathBuf};

/// An error of the data layer. Every message says which file (or option), what was
/// wanted, what came instead, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    #[cfg(feature = "native")]
    /// Nothing is at that path, or a part of the data set is not in the folder.
    #[error("{path}: wanted {wanted}, found {got}; {fix}")]
    NotFound {
        /// Path or name as the user gave it.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What is there.
        got: String,
        /// What to do.
        fix: String,
    },
    #[cfg(feature = "native")]
    /// The system would not read a file.
    #[error("{path}: wanted to read {wanted}, got \"{got}\"; {fix}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: String,
        /// What the system said.
        got: io::Error,
        /// What to do.
        fix: String,
    },
    #[cfg(feature = "native")]
    /// A file holds something else than its name or place says, or is damaged.
    #[error("{path}: wanted {wanted}, got {got}; {fix}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: String,
        /// What it holds.
        got: String,
        /// What to do.
        fix: String,
    },
    #[cfg(feature = "native")]
    /// A file is shorter or longer than its own header says.
    #[error("{path}: wanted {wanted} bytes ({what}), got {got}; {fix}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the header promises.
        wanted: u64,
        /// How that number comes about.
        what: String,
        /// Bytes that are there, in words ("120", "more").
        got: String,
        /// What to do.
        fix: String,
    },
    #[cfg(feature = "native")]
    /// Images and labels do not belong together.
    #[error(
        "{labels_path}: wanted {images} labels for the {images} images of {images_path}, got {labels}; \
         take both files from the same split of the data set"
    )]
    LabelCount {
        /// File of the images.
        images_path: PathBuf,
        /// Number of images.
        images: usize,
        /// File of the labels.
        labels_path: PathBuf,
        /// Number of labels.
        labels: usize,
    },
    #[cfg(feature = "native")]
    /// Images of a folder or archive differ in size.
    #[error(
        "{second}: wanted {}x{} like {first}, got {}x{}; give all images one size, for example with --resize {}",
        .first_size.0, .first_size.1, .second_size.0, .second_size.1, .first_size.0.min(.first_size.1)
    )]
    MixedSizes {
        /// The first image.
        first: PathBuf,
        /// Its width and height in pixels.
        first_size: (usize, usize),
        /// The first image of another size.
        second: PathBuf,
        /// Its width and height in pixels.
        second_size: (usize, usize),
    },
    #[cfg(feature = "native")]
    /// The data set would not fit into the limit of [`super::LoadOptions::max_bytes`].
    #[error("{path}: wanted at most {limit} bytes of pixels, got {what}; {fix}")]
    TooLarge {
        /// The file or folder.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
        /// Number and size of the images.
        what: String,
        /// What to do.
        fix: String,
    },
    /// An option has a value that makes no sense.
    #[error("{option}: wanted {wanted}, got {got}; {fix}")]
    Option {
        /// Name of the option, as on the command line.
        option: &'static str,
        /// Allowed values.
        wanted: String,
        /// The value.
        got: String,
        /// What to do.
        fix: String,
    },
    /// Sizes that a caller passed do not fit together.
    #[error("{what}: wanted {wanted} elements for shape {shape:?}, got {got}; pass the shape of the data")]
    Shape {
        /// What was to be built or written.
        what: String,
        /// The shape.
        shape: Vec<usize>,
        /// Product of the shape, in words if it overflows.
        wanted: String,
        /// Elements that were passed.
        got: usize,
    },
    #[cfg(feature = "native")]
    /// No server gave the right file.
    #[error(
        "{file}: wanted the official file, got {}; check the connection, or put the file into {folder} yourself, \
         or train on the built-in mnist-10k",
        .attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Download {
        /// Name of the file.
        file: String,
        /// Folder of the cache that it belongs into.
        folder: PathBuf,
        /// One entry for each address that was tried, in order.
        attempts: Vec<Attempt>,
    },
    #[cfg(feature = "native")]
    /// The progress callback asked to stop.
    #[error("{file}: the download was stopped; start it again when you like")]
    Stopped {
        /// Name of the file.
        file: String,
    },
    /// A file could not be written.
    #[cfg(feature = "native")]
    #[error(transparent)]
    File(#[from] FileError),
}

/// One address that did not give the right file.
#[cfg(feature = "native")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} from {url}")]
pub struct Attempt {
    /// Full address of the file.
    pub url: String,
    /// What went wrong there.
    pub problem: DownloadProblem,
}

/// Why a download was refused.
#[cfg(feature = "native")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadProblem {
    /// No connection, no such host, a timeout, a broken answer.
    #[error("\"{0}\"")]
    Connection(String),
    /// The server answered with an error status.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The body ended early or went on for too long.
    #[error("{got} bytes instead of {wanted}")]
    Length {
        /// Bytes of the official file.
        wanted: u64,
        /// Bytes that came; one more than `wanted` if the body was longer.
        got: u64,
    },
    /// The body is another file.
    #[error("a file with SHA-256 {got} instead of {wanted}")]
    Checksum {
        /// SHA-256 of the official file, in hexadecimal.
        wanted: String,
        /// SHA-256 of what came.
        got: String,
    },
}
