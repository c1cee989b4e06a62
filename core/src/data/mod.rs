//! Data: images as bytes, two-dimensional densities, and the files of both.
//!
//! [`load`] takes whatever a user has (a name, a folder, an archive, an array) and gives
//! a [`Dataset`]; [`embedded_mnist`] needs nothing at all. [`Density`] gives points whose
//! exact density is known. [`save_grid`], [`write_npy_u8`] and [`write_npy_f32`] write
//! results. Invariant: no file, however damaged, makes this code panic or take memory by
//! what a header claims; every [`DataError`] names the file, what was wanted, what came
//! and the fix. A browser build has the densities and the grids, but no files, archives or
//! downloads.

mod dataset;
mod density;
mod drawing;
mod error;
mod grid;
mod options;

pub use dataset::Dataset;
pub use density::Density;
pub use drawing::cloud;
pub use error::DataError;
pub use grid::{LARGEST_GRID, Picture, make_grid};
pub use options::{LoadOptions, Split};

#[cfg(feature = "native")]
mod native {
    pub use super::cache::cache_dir;
    pub(crate) use super::download::hash_words;
    pub use super::download::{DownloadOptions, OnProgress, Progress, fetch, hash_file};
    pub use super::embedded::{NAME as EMBEDDED, embedded_mnist};
    pub use super::error::{Attempt, DownloadProblem};
    pub use super::grid::save_grid;
    pub use super::load::{load, load_path, load_with_progress};
    pub use super::npy::{write_npy_f32, write_npy_u8};
    pub use super::official::{Official, RemoteFile};
    pub use super::points::load_points;
}
#[cfg(feature = "native")]
pub use native::*;

#[cfg(feature = "native")]
mod cache;
#[cfg(feature = "native")]
mod cifar;
#[cfg(feature = "native")]
mod decode;
#[cfg(feature = "native")]
mod download;
#[cfg(feature = "native")]
mod embedded;
#[cfg(feature = "native")]
mod folder;
#[cfg(feature = "native")]
pub mod idx;
#[cfg(feature = "native")]
mod idx_files;
#[cfg(feature = "native")]
mod layout;
#[cfg(feature = "native")]
mod load;
#[cfg(feature = "native")]
pub mod npy;
#[cfg(feature = "native")]
mod npy_header;
#[cfg(feature = "native")]
mod official;
#[cfg(feature = "native")]
mod pixels;
#[cfg(feature = "native")]
mod points;
#[cfg(feature = "native")]
mod read;
#[cfg(feature = "native")]
pub mod subset;

#[cfg(all(test, feature = "native"))]
mod damage_tests;
