//! The program starts. This test also makes `cargo test --workspace` build the program, which the
//! tests of the command line (tests/tests/cli.rs) run.

use std::process::Command;

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_onestep")).arg("--version").output().expect("it was just built");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("ASCII");
    assert_eq!(text.trim(), concat!("onestep ", env!("CARGO_PKG_VERSION")));
}
