//! Curves as a table, charts as a picture; both files are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use eframe::egui::{ColorImage, Rect};
use onestep_core::data::{DataError, Picture};
use onestep_core::files::{FileError, atomic_write};

use super::history::Curves;

/// Writes a line per step and a column per statistic. A statistic without a value at a step has an empty field;
/// numbers are spelled so that reading them gives the same bits.
pub fn write_csv(curves: &Curves, path: &Path) -> Result<(), FileError> {
    atomic_write(path, |file| table(curves, file))
}

fn table(curves: &Curves, file: &mut impl Write) -> io::Result<()> {
    write!(file, "step")?;
    for name in curves.keys() {
        write!(file, ",{}", field(name))?;
    }
    writeln!(file)?;
    let mut columns: Vec<_> = curves.values().map(|curve| curve.linear().iter().peekable()).collect();
    while let Some(step) = columns.iter_mut().filter_map(|column| Some(column.peek()?.0)).min() {
        write!(file, "{step}")?;
        for column in &mut columns {
            match column.next_if(|(s, _)| *s == step) {
                Some((_, value)) => write!(file, ",{value}")?,
                None => write!(file, ",")?,
            }
        }
        writeln!(file)?;
    }
    Ok(())
}

/// A field of a CSV file (RFC 4180): in quotes if it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.into()
}

/// Writes the part of a screenshot in `rect`, which is in points, as a PNG.
pub fn save_picture(path: &Path, screenshot: &ColorImage, rect: Rect, pixels_per_point: f32) -> Result<(), FileError> {
    let picture = crop(screenshot, rect * pixels_per_point).ok_or_else(|| FileError {
        path: path.into(),
        action: "save a picture of the charts",
        got: io::Error::new(io::ErrorKind::InvalidInput, "they are not on the screen"),
        fix: "make room for the charts in the window".into(),
    })?;
    picture.save_png(path).map_err(|error| match error {
        DataError::File(error) => error,
        other => FileError::new(path, "write the picture", io::Error::other(other.to_string())),
    })
}

/// The part of a screenshot in `rect`, which is in pixels; nothing if that is empty.
fn crop(screenshot: &ColorImage, rect: Rect) -> Option<Picture> {
    let [width, height] = screenshot.size;
    let edge = |position: f32, limit: usize| (position.round().max(0.0) as usize).min(limit);
    let (left, right) = (edge(rect.left(), width), edge(rect.right(), width));
    let (top, bottom) = (edge(rect.top(), height), edge(rect.bottom(), height));
    if left >= right || top >= bottom {
        return None;
    }
    let row = |y: usize| &screenshot.pixels[y * width + left..y * width + right];
    let pixels = (top..bottom).flat_map(row).flat_map(|color| [color.r(), color.g(), color.b()]).collect();
    Some(Picture { pixels, width: right - left, height: bottom - top, channels: 3 })
}

#[cfg(test)]
mod tests {
    use eframe::egui::{Color32, pos2};

    use super::super::history::push;
    use super::*;

    #[test]
    fn a_table_reads_back_as_it_was() {
        let mut curves = Curves::new();
        push(&mut curves, 1, [("Loss/ratio", 0.1), ("Grad/ratio", 1e-30)]);
        push(&mut curves, 3, [("Loss/ratio", 1.0 / 3.0)]);
        push(&mut curves, 2, [("odd, \"name\"", -7.0)]);
        push(&mut curves, u64::from(u32::MAX), [("Grad/ratio", 2.5e17)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.csv");
        write_csv(&curves, &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("step,Grad/ratio,Loss/ratio,\"odd, \"\"name\"\"\""));
        let names = ["Grad/ratio", "Loss/ratio", "odd, \"name\""];
        let mut back = Curves::new();
        for line in lines {
            let mut fields = line.split(',');
            let step = fields.next().unwrap().parse().unwrap();
            let values: Vec<_> = names.iter().zip(fields).filter_map(|(n, v)| Some((n, v.parse().ok()?))).collect();
            push(&mut back, step, values);
        }
        for name in names {
            let (got, wanted) = (&back[name], &curves[name]);
            assert_eq!(got.linear().iter().collect::<Vec<_>>(), wanted.linear().iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn a_picture_is_the_part_of_the_screen() {
        let mut screen = ColorImage::filled([8, 6], Color32::BLACK);
        screen.pixels[2 * 8 + 5] = Color32::from_rgb(1, 2, 3);
        // The window may have shrunk since the charts were laid out.
        let picture = crop(&screen, Rect::from_min_max(pos2(4.0, 2.0), pos2(180.0, 180.0))).unwrap();
        assert_eq!((picture.width, picture.height), (4, 4));
        assert_eq!(picture.pixels[..9], [0, 0, 0, 1, 2, 3, 0, 0, 0]);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("charts.png");
        save_picture(&path, &screen, Rect::from_min_max(pos2(2.0, 1.0), pos2(4.0, 3.0)), 2.0).unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[1..4], *b"PNG");
        assert_eq!(file[16..24], [0, 0, 0, 4, 0, 0, 0, 4], "4 x 4 pixels");

        let outside = Rect::from_min_max(pos2(50.0, 1.0), pos2(90.0, 90.0));
        let text = save_picture(&path, &screen, outside, 2.0).unwrap_err().to_string();
        assert!(text.contains("not on the screen"), "{text}");
    }
}
