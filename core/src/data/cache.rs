//! Where downloads are kept on this system.

use std::ffi::OsString;
use std::path::PathBuf;

/// Families of systems with a place of their own for caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Windows,
    Mac,
    Other,
}

const HERE: System = if cfg!(windows) {
    System::Windows
} else if cfg!(target_os = "macos") {
    System::Mac
} else {
    System::Other
};

/// The cache folder: `$ONESTEP_CACHE`, else the system's place for caches; `None` if the
/// environment names neither that nor a home.
pub fn cache_dir() -> Option<PathBuf> {
    choose(HERE, |name| std::env::var_os(name))
}

fn choose(system: System, get: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let var = |name| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = var("ONESTEP_CACHE") {
        return Some(folder);
    }
    let home = || var("HOME");
    let base = match system {
        System::Windows => var("LOCALAPPDATA"),
        System::Mac => home().map(|home| home.join("Library/Caches")),
        // The XDG rules say to ignore a relative path.
        System::Other => var("XDG_CACHE_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| home().map(|home| home.join(".cache"))),
    };
    base.map(|base| base.join("onestep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(system: System, vars: &[(&str, &str)]) -> Option<PathBuf> {
        choose(system, |name| {
            let found = vars.iter().find(|var| var.0 == name);
            found.map(|var| OsString::from(var.1))
        })
    }

    #[test]
    fn own_variable_wins_then_the_systems_place() {
        let all =
            [("ONESTEP_CACHE", "/own"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/a"), ("LOCALAPPDATA", "/local")];
        for system in [System::Windows, System::Mac, System::Other] {
            assert_eq!(run(system, &all), Some("/own".into()));
        }
        let rest = &all[1..];
        assert_eq!(run(System::Windows, rest), Some("/local/onestep".into()));
        assert_eq!(run(System::Mac, rest), Some("/home/a/Library/Caches/onestep".into()));
        assert_eq!(run(System::Other, &all[2..]), Some("/home/a/.cache/onestep".into()));
        if cfg!(unix) {
            assert_eq!(run(System::Other, rest), Some("/xdg/onestep".into()));
        }
        let odd = [("ONESTEP_CACHE", ""), ("XDG_CACHE_HOME", "rel"), ("HOME", "/h")];
        assert_eq!(run(System::Other, &odd), Some("/h/.cache/onestep".into()));
        assert_eq!(run(System::Other, &[]), None);
    }
}
