//! From samples to files: bytes, grids, folders of images, points as a picture.

use std::path::{Path, PathBuf};

use onestep_core::data::{Picture, make_grid};
use onestep_core::files::AtomicFile;
use onestep_core::session::scatter;

use crate::exit::{BeforeWork, bad_input};

/// Side of the picture of points, in pixels.
const POINTS_SIDE: usize = 512;
/// Side of a grid that suits a screen, in pixels; small images are enlarged up to it.
const GRID_SIDE: usize = 1024;

/// Numbers as grey levels: `low` is 0, `high` is 255, rounded and clamped.
pub fn to_bytes(samples: &[f32], [low, high]: [f32; 2]) -> Vec<u8> {
    // From -1 to 1 this is round((x + 1) * 127.5), exactly.
    let scale = 255.0 / (high - low);
    samples.iter().map(|x| ((x - low) * scale).round().clamp(0.0, 255.0) as u8).collect()
}

/// Images of `shape` H x W x C in as many rows as columns, small ones enlarged.
pub fn grid(images: &[u8], [height, width, channels]: [usize; 3]) -> anyhow::Result<Picture> {
    let count = images.len() / (height * width * channels);
    let columns = (count as f64).sqrt().ceil().max(1.0) as usize;
    let scale = (GRID_SIDE / (columns * height.max(width))).clamp(1, 8);
    Ok(make_grid(images, [count, height, width, channels], columns, scale)?)
}

/// Points as dots, the brighter the more of them; the range is that of both axes.
pub fn points(points: &[f32], [low, high]: [f32; 2]) -> Picture {
    let pixels = scatter(points, low.abs().max(high.abs()), POINTS_SIDE);
    Picture { pixels, width: POINTS_SIDE, height: POINTS_SIDE, channels: 1 }
}

/// Where samples go, by the ending of `--out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One array.
    Npy(PathBuf),
    /// One picture.
    Png(PathBuf),
    /// One PNG per image.
    Folder(PathBuf),
}

impl Target {
    /// Reads `--out`.
    pub fn parse(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            _ if path.is_dir() => Ok(Self::Folder(path.to_path_buf())),
            Some("npy") => Ok(Self::Npy(path.to_path_buf())),
            Some("png") => Ok(Self::Png(path.to_path_buf())),
            None => Ok(Self::Folder(path.to_path_buf())),
            Some(other) => {
                Err(bad_input!("--out {}: files end in .npy or .png, not .{other}; or give a folder", path.display()))
            }
        }
    }

    /// Makes sure that the target can be written, before hours of work rather than after.
    pub fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Npy(path) | Self::Png(path) => check_writable(path),
            Self::Folder(path) => {
                let fail = |got| onestep_core::files::FileError::new(path, "create the folder", got);
                std::fs::create_dir_all(path).map_err(fail).before_work()?;
                check_writable(&path.join("000000.png"))
            }
        }
    }
}

/// Makes sure that a file can be written there; leaves no trace.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    AtomicFile::create(path).map(drop).before_work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_levels_are_rounded_and_clamped() {
        assert_eq!(to_bytes(&[-1.0, -0.9999, 0.0, 1.0, -7.0, 7.0], [-1.0, 1.0]), [0, 0, 128, 255, 0, 255]);
    }

    #[test]
    fn grids_are_square_and_enlarged() {
        let picture = grid(&[0; 5 * 28 * 28], [28, 28, 1]).unwrap();
        assert_eq!((picture.width, picture.height), (3 * 28 * 8, 2 * 28 * 8));
    }

    #[test]
    fn endings_choose_the_form() {
        let of = |text: &str| Target::parse(Path::new(text));
        assert_eq!(of("a.npy").unwrap(), Target::Npy("a.npy".into()));
        assert_eq!(of("a.PNG").unwrap(), Target::Png("a.PNG".into()));
        assert_eq!(of("some/folder").unwrap(), Target::Folder("some/folder".into()));
        assert!(of("a.jpg").unwrap_err().to_string().contains(".npy"));
    }
}
