//! Writes the WGSL of every test case to a file, for compilers that are not here, such as a browser's:
//! name, line break, text, and a byte 0 after each.

#[path = "../tests/cases/mod.rs"]
mod cases;

use std::io::Write;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).expect("usage: sources FILE");
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for case in cases::all() {
        write!(file, "{}\n{}\0", case.name(), case.text())?;
    }
    file.flush()
}
