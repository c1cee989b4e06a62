//! Copies the shaders to where `src/lib.rs` embeds them from: as they are, but for browsers, which
//! download them, without comments and indentation.

use std::path::Path;
use std::{env, fs, io};

mod slim;

fn main() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").expect("cargo says where to write");
    let downloaded = env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32");
    for folder in ["kernels", "lib"] {
        println!("cargo::rerun-if-changed={folder}");
        let copies = Path::new(&out).join(folder);
        fs::create_dir_all(&copies)?;
        for file in fs::read_dir(folder)? {
            let file = file?;
            let text = fs::read_to_string(file.path())?;
            fs::write(copies.join(file.file_name()), if downloaded { slim::slim(&text) } else { text })?;
        }
    }
    Ok(())
}
