//! Charts as pictures: one drawing as SVG and as PNG.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use onestep_core::data::Picture;
use onestep_core::files::atomic_write;
use plotters::coord::Shift;
use plotters::prelude::*;

/// What can be drawn on any surface.
pub trait Drawing {
    /// Draws.
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>>;
}

/// Writes `{name}.svg` and `{name}.png` of so many pixels.
pub fn save(drawing: &impl Drawing, folder: &Path, name: &str, (width, height): (u32, u32)) -> anyhow::Result<()> {
    let mut svg = String::new();
    drawing
        .draw(&SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area())
        .map_err(|error| anyhow::anyhow!("drawing {name}.svg: {error}"))?;
    atomic_write(folder.join(format!("{name}.svg")), |file| write!(file, "{svg}"))?;
    let mut pixels = vec![0; (width * height * 3) as usize];
    drawing
        .draw(&BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area())
        .map_err(|error| anyhow::anyhow!("drawing {name}.png: {error}"))?;
    let picture = Picture { pixels, width: width as usize, height: height as usize, channels: 3 };
    picture.save_png(folder.join(format!("{name}.png"))).with_context(|| format!("saving {name}.png"))
}

/// Makes a font known to the drawings: the system's need not be there.
pub fn register_font() {
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    let _ = plotters::style::register_font("sans-serif", plotters::style::FontStyle::Normal, font);
}
