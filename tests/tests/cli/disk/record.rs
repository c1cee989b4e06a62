//! What a program does to a disk, as `strace` sees it: every call that writes, flushes, renames or removes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::{Run, program};

/// What one call did. Paths are whole ones.
#[derive(Debug)]
pub enum Deed {
    /// A new file, or an old one that is emptied.
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    /// A file has this length now.
    Cut(PathBuf, usize),
    /// A file's content or a folder's names are on the disk.
    Sync(PathBuf),
    Folder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// A call that changed something in a folder.
pub struct Call {
    /// Its name, such as `write`.
    pub name: String,
    /// How many calls of this name there were until then, itself included.
    pub number: usize,
    pub deed: Deed,
}

const CALLS: &str = "openat,write,fsync,fdatasync,ftruncate,mkdir,rename,unlink,unlinkat,rmdir";

/// Whether calls can be watched here.
pub fn can_watch() -> bool {
    let seen = Command::new("strace")
        .args(["-e", &format!("trace={CALLS}"), "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let can = seen.is_ok_and(|status| status.success());
    if !can {
        println!("left out: there is no strace here that may watch a program");
    }
    can
}

/// The program in a folder, with what `strace` is told besides.
fn traced(folder: &TempDir, options: &[&str], line: &str) -> Run {
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-o", "/dev/null"]).args(options);
    command.arg(program()).args(line.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
    Run::from(command.output().expect("strace starts"))
}

/// Runs a line of arguments, of which every call of a name from its `number`th on fails, or that one alone.
pub fn failing(folder: &TempDir, line: &str, name: &str, error: &str, number: usize, for_good: bool) -> Run {
    let plus = if for_good { "+" } else { "" };
    let inject = format!("inject={name}:error={error}:when={number}{plus}");
    traced(folder, &["-e", &format!("trace={name}"), "-e", &inject], line)
}

/// Runs a line of arguments; what it does in the folder.
pub fn record(folder: &TempDir, line: &str) -> Vec<Call> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    traced(folder, &["-e", &format!("trace={CALLS}"), "-o", trace.path().to_str().unwrap()], line).ok();
    let text = std::fs::read_to_string(trace.path()).unwrap();
    let root = folder.path().canonicalize().unwrap();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        assert!(!line.contains("unfinished"), "two threads write at once: the order of their calls is not known");
        let Some((thread, (name, rest))) = line.split_once(' ').and_then(|(a, b)| Some((a, b.trim().split_once('(')?)))
        else {
            continue;
        };
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        if let Some(deed) = deed(&root, name, rest).filter(|deed| deed.path().starts_with(&root)) {
            calls.push(Call { name: name.to_owned(), number: *count, deed });
        }
    }
    calls
}

impl Deed {
    pub fn path(&self) -> &Path {
        match self {
            Self::Create(path) | Self::Write(path, _) | Self::Cut(path, _) | Self::Sync(path) => path,
            Self::Folder(path) | Self::Rename(path, _) | Self::Remove(path) => path,
        }
    }
}

/// What a call that succeeded did, if it changes a disk. All text is in hexadecimal, so a comma ends an argument.
fn deed(root: &Path, name: &str, rest: &str) -> Option<Deed> {
    let (arguments, result) = rest.rsplit_once(") ")?;
    if result.trim_start_matches([' ', '=']).starts_with('-') {
        return None;
    }
    let arguments: Vec<&str> = arguments.split(", ").collect();
    // `3</a/folder>`, `1<pipe:[3]>`, or `"a/name"` in the folder where the program runs.
    let path = |i: usize| match arguments[i].split_once('<') {
        Some((_, opened)) => PathBuf::from(text(opened)),
        None => root.join(text(arguments[i])),
    };
    Some(match name {
        "openat" if arguments[2].contains("O_CREAT") => Deed::Create(path(0).join(path(1))),
        "write" => Deed::Write(path(0), bytes(arguments[1])),
        "ftruncate" => Deed::Cut(path(0), arguments[1].parse().expect("a length")),
        "fsync" | "fdatasync" => Deed::Sync(path(0)),
        "mkdir" => Deed::Folder(path(0)),
        "rename" => Deed::Rename(path(0), path(1)),
        "unlink" | "rmdir" => Deed::Remove(path(0)),
        "unlinkat" => Deed::Remove(path(0).join(text(arguments[1]))),
        _ => return None,
    })
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(bytes(hexadecimal)).expect("paths of the tests are text")
}

/// What `\x41\x42`, with something around it, stands for.
fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.split("\\x").skip(1).map(|part| &part[..2]);
    digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits")).collect()
}
