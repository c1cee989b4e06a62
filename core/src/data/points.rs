//! Points in the plane from a `.npy` file: what `onestep sample` writes, and anybody's own.

use std::path::Path;

use super::npy_header::{MAGIC, parse_header};
use super::{DataError, read};

/// Most points: far more than a picture or a run needs.
const MAX_POINTS: usize = 1 << 24;
/// Farthest coordinate: noise levels and networks are made for data around 0 of about unit size.
const FARTHEST: f32 = 10.0;

/// The points of an N x 2 array of `float32`; nothing if the file is no array of that shape.
pub fn load_points(path: &Path) -> Result<Option<Vec<[f32; 2]>>, DataError> {
    if !path.is_file() {
        return Ok(None);
    }
    let opened = read::open(path)?;
    if !opened.head.starts_with(MAGIC) {
        return Ok(None);
    }
    // The header of a matrix takes 128 bytes; one that does not fit into the head is none.
    let Ok(header) = parse_header(&opened.head, path) else { return Ok(None) };
    let [n, 2] = header.shape[..] else { return Ok(None) };
    let refuse = |got: String, fix: &str| {
        Err(DataError::Format {
            path: path.to_path_buf(),
            wanted: format!("an N x 2 array of float32 in C order, with 2 to {MAX_POINTS} points"),
            got,
            fix: fix.to_owned(),
        })
    };
    if !matches!(header.descr.as_str(), "<f4" | "=f4" | "f4") {
        return refuse(format!("dtype '{}'", header.descr), "save x.astype('<f4')");
    }
    if header.fortran_order {
        return refuse("one in Fortran order".into(), "save np.ascontiguousarray(x)");
    }
    if n < 2 {
        let plural = if n == 1 { "" } else { "s" };
        return refuse(format!("{n} point{plural}"), "save two points or more");
    }
    if n > MAX_POINTS {
        return refuse(format!("{n} points"), "save fewer, such as x[:1000000]");
    }
    let wanted = header.data_at + 8 * n;
    let bytes = opened.read_up_to(wanted as u64 + 1, "points")?;
    if bytes.len() != wanted {
        return Err(DataError::Length {
            path: path.to_path_buf(),
            wanted: wanted as u64,
            what: format!("{n} points"),
            got: if bytes.len() > wanted { "more".into() } else { bytes.len().to_string() },
            fix: "the file is damaged or cut short; save it again".into(),
        });
    }
    let number = |b: &[u8; 4]| f32::from_le_bytes(*b);
    let points: Vec<[f32; 2]> = bytes[header.data_at..]
        .as_chunks::<4>()
        .0
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[x, y]| [number(x), number(y)])
        .collect();
    match points.iter().position(|p| !p.iter().all(|x| x.abs() <= FARTHEST)) {
        Some(i) => refuse(
            format!("({}, {}) as point {i}", points[i][0], points[i][1]),
            "scale the points to about -1 to 1, without NaN",
        ),
        None => Ok(Some(points)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{write_npy_f32, write_npy_u8};

    #[test]
    fn points_come_back_and_everything_else_is_refused_or_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.npy");
        write_npy_f32(&path, &[3, 2], &[0.0, 1.0, -1.0, 0.5, 0.25, -0.25]).unwrap();
        assert_eq!(load_points(&path).unwrap().unwrap(), [[0.0, 1.0], [-1.0, 0.5], [0.25, -0.25]]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(load_points(&path).unwrap_err().to_string().contains("points.npy"));
        for (values, word) in [([0.0, f32::NAN, 0.0, 0.0], "NaN"), ([0.0, 1e6, 0.0, 0.0], "scale")] {
            write_npy_f32(&path, &[2, 2], &values).unwrap();
            let text = load_points(&path).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
        write_npy_f32(&path, &[1, 2], &[0.0; 2]).unwrap();
        let text = load_points(&path).unwrap_err().to_string();
        assert!(text.ends_with("got 1 point; save two points or more"), "{text}");
        write_npy_f32(&path, &[2, 2], &[0.0; 4]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let fortran = String::from_utf8_lossy(&bytes[10..128]).replace("False", "True ");
        std::fs::write(&path, [&bytes[..10], fortran.as_bytes(), &bytes[128..]].concat()).unwrap();
        let text = load_points(&path).unwrap_err().to_string();
        assert!(text.contains("got one in Fortran order; save np.ascontiguousarray"), "{text}");
        write_npy_u8(&path, &[2, 2], &[0; 4]).unwrap();
        assert!(load_points(&path).unwrap_err().to_string().contains("f4"));
        write_npy_u8(&path, &[2, 4, 4], &[0; 32]).unwrap();
        assert_eq!(load_points(&path).unwrap(), None);
        std::fs::write(&path, b"no array").unwrap();
        assert_eq!(load_points(&path).unwrap(), None);
        assert_eq!(load_points(&folder.path().join("absent.npy")).unwrap(), None);
    }
}
