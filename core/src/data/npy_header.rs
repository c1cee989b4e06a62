//! The header of a `.npy` file: a Python dictionary with three known keys.

use std::path::Path;

use super::DataError;

/// First bytes of every file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Type of the elements, such as `|u1`.
    pub descr: String,
    /// Whether the first index runs fastest.
    pub fortran_order: bool,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Offset of the first element in bytes.
    pub data_at: usize,
}

/// Reads the header at the start of `bytes`; `path` is for messages.
pub(super) fn parse_header(bytes: &[u8], path: &Path) -> Result<Header, DataError> {
    let fail = |got: String| DataError::Format {
        path: path.to_path_buf(),
        wanted: "a NumPy array file of version 1, 2 or 3".into(),
        got,
        fix: "save it again with np.save".into(),
    };
    let cut = || fail("a file that ends within its header".into());
    if !bytes.starts_with(MAGIC) {
        return Err(fail("a file that does not begin with \\x93NUMPY".into()));
    }
    let &[major, _minor] = bytes.get(6..8).ok_or_else(cut)? else {
        return Err(cut());
    };
    let (start, length): (usize, usize) = match (major, bytes.get(8..12)) {
        (_, None) => return Err(cut()),
        (1, Some(length)) => (10, u16::from_le_bytes([length[0], length[1]]) as usize),
        (2 | 3, Some(length)) => (12, u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize),
        (other, _) => return Err(fail(format!("version {other}"))),
    };
    let text = bytes.get(start..start.saturating_add(length)).ok_or_else(cut)?;
    let text = str::from_utf8(text).map_err(|_| fail("a header that is not text".into()))?;
    let (descr, fortran_order, shape) =
        Literal(text).dictionary().map_err(|what| fail(format!("a header with {what}")))?;
    Ok(Header { descr, fortran_order, shape, data_at: start + length })
}

/// The rest of a Python literal that is still to be read.
struct Literal<'a>(&'a str);

type Found<T> = Result<T, String>;

impl<'a> Literal<'a> {
    fn dictionary(mut self) -> Found<(String, bool, Vec<usize>)> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => order = Some(self.boolean()?),
                "shape" => shape = Some(self.tuple()?),
                other => return Err(format!("an unknown key '{other}'")),
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok((descr.ok_or("no 'descr'")?, order.ok_or("no 'fortran_order'")?, shape.ok_or("no 'shape'")?))
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char) -> Found<()> {
        if self.accept(wanted) {
            return Ok(());
        }
        let got: String = self.0.chars().take(10).collect();
        Err(format!("\"{got}\" in place of \"{wanted}\""))
    }

    fn string(&mut self) -> Found<&'a str> {
        let quote = if self.accept('"') {
            '"'
        } else {
            self.expect('\'')?;
            '\''
        };
        let (text, rest) = self.0.split_once(quote).ok_or("an open string")?;
        self.0 = rest;
        Ok(text)
    }

    fn descr(&mut self) -> Found<String> {
        self.0 = self.0.trim_start();
        if self.0.starts_with('[') {
            return Err("named fields; save one of them".into());
        }
        self.string().map(str::to_owned)
    }

    fn boolean(&mut self) -> Found<bool> {
        self.0 = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err("a fortran_order that is neither True nor False".into())
    }

    fn tuple(&mut self) -> Found<Vec<usize>> {
        let mut sides = Vec::new();
        self.expect('(')?;
        while !self.accept(')') {
            // NumPy has arrays of at most 64 dimensions.
            if sides.len() == 64 {
                return Err("a shape of more than 64 dimensions".into());
            }
            sides.push(self.integer()?);
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sides)
    }

    fn integer(&mut self) -> Found<usize> {
        self.0 = self.0.trim_start();
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        // Python 2 wrote long integers as 28L.
        self.0 = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().map_err(|_| format!("a shape with \"{digits}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(dict: &str) -> Result<Header, String> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        parse_header(&bytes, Path::new("x.npy")).map_err(|e| e.to_string())
    }

    #[test]
    fn order_of_keys_quotes_and_spaces_do_not_matter() {
        let header = parse("{\"shape\":(3 ,),\"fortran_order\" : True,'descr':'<f4'} \n").unwrap();
        assert_eq!(header.descr, "<f4");
        assert!(header.fortran_order);
        assert_eq!(header.shape, [3]);
        assert!(parse("{'descr': '|u1', 'fortran_order': False, 'shape': ()}").unwrap().shape.is_empty());
    }

    #[test]
    fn broken_headers_say_what_is_wrong() {
        let cases = [
            ("[]", "in place of"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False}", "named fields"),
            ("{'fortran_order': False, 'shape': (1,)}", "no 'descr'"),
            ("{'descr': '|u1", "open string"),
            ("{'other': 3}", "'other'"),
            ("{'shape': (1, x)}", "a shape with"),
            ("{'fortran_order': None}", "neither"),
        ];
        for (dict, wanted) in cases {
            let text = parse(dict).unwrap_err();
            assert!(text.contains(wanted), "{dict} gave {text}");
        }
    }

    #[test]
    fn cut_and_foreign_files_are_errors() {
        let path = Path::new("x.npy");
        for bytes in [&b""[..], b"PK", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{}"] {
            assert!(parse_header(bytes, path).is_err());
        }
        let text = parse_header(b"\x93NUMPY\x09\x00\x00\x00\x00\x00", path).unwrap_err().to_string();
        assert!(text.contains("version 9"), "{text}");
        // A length near 2^32 must not overflow or allocate.
        assert!(parse_header(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", path).is_err());
    }
}
