//! One PNG or JPEG file to 8-bit gray or RGB pixels.
//!
//! Transparent pixels are laid over white, the EXIF orientation is applied, 16 bits are
//! reduced to 8. The format is told from the content, not from the name.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::load::is_text;
use super::options::MAX_SIDE;
use super::{DataError, LoadOptions, pixels};

/// Decoded bytes of one image that are still accepted: 8192 x 8192 with 4 bytes each.
const MAX_DECODED: u64 = 256 << 20;

/// Pixels of one image, H x W x C.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub pixels: Vec<u8>,
    /// Width and height.
    pub size: (usize, usize),
    /// 1 or 3.
    pub channels: usize,
}

/// Bytes that a file will take decoded, at most, by what its header says.
pub(super) fn decoded_bytes(bytes: &[u8]) -> u64 {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    size.map_or(0, |(width, height)| (4 * u64::from(width) * u64::from(height)).min(MAX_DECODED))
}

/// Decodes a file and applies the size and colours of `options`.
pub(super) fn decode(bytes: &[u8], path: &Path, options: &LoadOptions) -> Result<Decoded, DataError> {
    let fail = |got: String, fix: &str| DataError::Format {
        path: path.to_path_buf(),
        wanted: "a PNG or JPEG image".into(),
        got,
        fix: fix.to_owned(),
    };
    let undecodable =
        |problem: &str| fail(format!("one that does not decode (\"{problem}\")"), "remove the file or get it again");
    let damaged = |error: image::ImageError| undecodable(&error.to_string());
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| damaged(error.into()))?;
    let format = reader.format();
    if !matches!(format, Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        let head = &bytes[..bytes.len().min(8)];
        let got = match head {
            [] => "an empty file".into(),
            _ if is_text(&bytes[..bytes.len().min(512)]) => "a file of text".into(),
            _ => format!("a file that begins with {head:02x?}"),
        };
        return Err(fail(got, "remove the file or convert it to PNG"));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    // A damaged header may claim any size: refuse before the buffer is allocated.
    if decoder.total_bytes() > MAX_DECODED {
        let (width, height) = decoder.dimensions();
        let got = format!("one of {width}x{height}");
        return Err(fail(got, "make it smaller, 8192x8192 at most"));
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    // The decoder fills what is missing with gray.
    if format == Some(ImageFormat::Jpeg) && !has_end(bytes) {
        return Err(undecodable("it is cut short"));
    }
    image.apply_orientation(orientation);
    Ok(finish(image, options))
}

/// Whether a JPEG goes on to its end, the marker FF D9 of its own: that of a thumbnail is inside a segment. What follows
/// it does not matter.
fn has_end(jpeg: &[u8]) -> bool {
    // Behind the start, FF D8.
    let mut rest = jpeg.get(2..).unwrap_or_default();
    // In a scan, FF stands before 00 or a restart, D0 to D7; before a marker it may be repeated.
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 1 | 0xd0..=0xd8 | 0xff);
    while let Some(at) = rest.windows(2).position(is_marker) {
        let [_, marker, segment @ ..] = &rest[at..] else { break };
        if *marker == 0xd9 {
            return true;
        }
        // A segment begins with its length.
        let length = segment.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        rest = segment.get(usize::from(length)..).unwrap_or_default();
    }
    false
}

fn finish(image: DynamicImage, options: &LoadOptions) -> Decoded {
    let mut size = (image.width() as usize, image.height() as usize);
    let color = image.color();
    let mut channels = if color.has_color() { 3 } else { 1 };
    let mut bytes = match (color.has_alpha(), channels) {
        (false, 1) => image.into_luma8().into_raw(),
        (false, _) => image.into_rgb8().into_raw(),
        (true, 1) => over_white::<2>(image.into_luma_alpha8().as_raw()),
        (true, _) => over_white::<4>(image.into_rgba8().as_raw()),
    };
    if let Some(wanted) = options.channels {
        bytes = pixels::convert_channels(bytes, channels, wanted);
        channels = wanted;
    }
    if let Some(target) = options.resize {
        bytes = pixels::resize(&bytes, size, channels, target);
        size = target;
    }
    Decoded { pixels: bytes, size, channels }
}

/// Lays pixels of `C` bytes, the last one alpha, over white; one byte fewer each.
fn over_white<const C: usize>(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / C * (C - 1));
    for pixel in bytes.chunks_exact(C) {
        let alpha = u32::from(pixel[C - 1]);
        for &value in &pixel[..C - 1] {
            let mixed = u32::from(value) * alpha + 255 * (255 - alpha);
            out.push(((mixed + 127) / 255) as u8);
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use image::ExtendedColorType::{L8, L16, La8, Rgb8, Rgba8};

    /// A file of one flat colour.
    pub(crate) fn flat(
        format: ImageFormat,
        color: image::ExtendedColorType,
        pixel: &[u8],
        width: u32,
        height: u32,
    ) -> Vec<u8> {
        let pixels = pixel.repeat((width * height) as usize);
        let mut out = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut out, &pixels, width, height, color, format).unwrap();
        out.into_inner()
    }

    fn run(bytes: &[u8], options: &LoadOptions) -> Result<Decoded, String> {
        decode(bytes, Path::new("a.png"), options).map_err(|e| e.to_string())
    }

    #[test]
    fn text_is_called_text() {
        let error = run("{\"größe\": 28}".as_bytes(), &LoadOptions::default()).unwrap_err();
        assert!(error.contains("a file of text"), "{error}");
    }

    #[test]
    fn colours_depths_and_transparency() {
        let options = LoadOptions::default();
        let png = ImageFormat::Png;
        for (color, pixel, wanted) in [
            (L8, &[7u8][..], &[7u8][..]),
            (Rgb8, &[1, 2, 3], &[1, 2, 3]),
            (L16, &0x8080u16.to_ne_bytes(), &[0x80]),
            (La8, &[0, 0], &[255]),
            (Rgba8, &[0, 100, 255, 51], &[204, 224, 255]),
        ] {
            let got = run(&flat(png, color, pixel, 3, 2), &options).unwrap();
            assert_eq!((got.size, got.channels), ((3, 2), wanted.len()), "{color:?}");
            assert_eq!(got.pixels, wanted.repeat(6), "{color:?}");
        }
        let jpeg = flat(ImageFormat::Jpeg, Rgb8, &[100, 100, 100], 8, 8);
        let got = run(&jpeg, &options).unwrap();
        assert!(got.pixels.iter().all(|&v| v.abs_diff(100) <= 2));
    }

    #[test]
    fn size_and_colour_options_apply() {
        let options = LoadOptions { resize: Some((4, 2)), channels: Some(1), ..LoadOptions::default() };
        let file = flat(ImageFormat::Png, Rgb8, &[90, 90, 90], 9, 9);
        let got = run(&file, &options).unwrap();
        assert_eq!(got, Decoded { pixels: vec![90; 8], size: (4, 2), channels: 1 });
    }

    #[test]
    fn orientation_of_photographs_is_applied() {
        // JPEG with an EXIF block (little endian, one entry: 0x0112 orientation = 6,
        // "rotate by 90 degrees") put in after the start marker.
        let plain = flat(ImageFormat::Jpeg, L8, &[50], 16, 8);
        let exif =
            [&[0xff, 0xe1, 0, 34][..], b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"]
                .concat();
        let file = [&plain[..2], &exif, &plain[2..]].concat();
        let options = LoadOptions::default();
        assert_eq!(run(&plain, &options).unwrap().size, (16, 8));
        assert_eq!(run(&file, &options).unwrap().size, (8, 16));
    }

    /// What was missing was gray, and was trained on.
    #[test]
    fn jpeg_that_is_cut_short_is_refused() {
        let options = LoadOptions::default();
        let pixels: Vec<u8> = (0..64 * 64).map(|i: u32| (i * i / 7) as u8).collect();
        let mut out = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut out, &pixels, 64, 64, L8, ImageFormat::Jpeg).unwrap();
        let whole = out.into_inner();
        assert!(whole.len() > 1000 && whole.ends_with(&[0xff, 0xd9]));
        // A camera's file: a whole thumbnail in a segment, and more behind the end.
        let thumbnail = flat(ImageFormat::Jpeg, L8, &[9], 8, 8);
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let camera = [&whole[..2], &[0xff, 0xe2], &length, &thumbnail, &whole[2..]].concat();
        for file in [&whole, &camera] {
            let image = run(file, &options).unwrap();
            for tail in [&[0; 9][..], &whole[..700], &[0xff, 0xda, 0, 2, 0xff]] {
                assert_eq!(run(&[&file[..], tail].concat(), &options).as_ref(), Ok(&image));
            }
            for cut in [file.len() / 2, file.len() * 9 / 10, file.len() - 2, file.len() - 1] {
                let text = run(&file[..cut], &options).unwrap_err();
                assert!(text.contains("a.png") && text.contains("does not decode"), "{cut}: {text}");
            }
        }
    }

    #[test]
    fn other_files_and_claims_of_size_are_errors() {
        let options = LoadOptions::default();
        let good = flat(ImageFormat::Png, L8, &[1], 4, 4);
        assert!(run(&[], &options).unwrap_err().contains("empty"));
        assert!(run(b"GIF89a", &options).unwrap_err().contains("convert"));
        assert!(run(&good[..good.len() / 2], &options).unwrap_err().contains("does not decode"));
        let mut wide = good.clone();
        wide[16..24].copy_from_slice(&[0, 0, 0x3f, 0xff, 0, 0, 0x3f, 0xff]);
        let crc = {
            let mut crc = flate2::Crc::new();
            crc.update(&wide[12..29]);
            crc.sum().to_be_bytes()
        };
        wide[29..33].copy_from_slice(&crc);
        let text = run(&wide, &options).unwrap_err();
        assert!(text.contains("a.png"), "{text}");
    }
}
