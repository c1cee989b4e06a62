//! The `onestep` program; its commands are in the library beside it, where tests reach the window.

fn main() -> std::process::ExitCode {
    onestep::main()
}
