//! Files that are there whole or not at all.
//!
//! [`atomic_write`] writes to a temporary name in the target's own folder, flushes it
//! to the disk and renames it over the target. Invariant: whatever happens in between
//! (a full disk, an error of the writer, a panic), the target is the old file or the
//! new one, never a part of it, and no temporary file stays behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "native")]
use std::time::Duration;

/// Largest text that this program reads whole: its own are a thousand times smaller.
const SMALL: u64 = 16 << 20;

/// Opens a file for reading. What is no file is an error: a pipe may never say anything, and a device may never end.
pub fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(no_file()) }
}

/// The text of a small file, as [`open`] opens it. What is too large to be one of this program's own is an error.
pub fn read_small(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    if file.metadata()?.len() > SMALL {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {} MiB", SMALL >> 20)));
    }
    io::read_to_string(file)
}

/// What is said of a path that has something other than a file.
pub(crate) fn no_file() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is a folder, device or pipe")
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: wanted to {action}, got \"{got}\"; {fix}")]
pub struct FileError {
    /// The file that was wanted (never the temporary name).
    pub path: PathBuf,
    /// The step that failed.
    pub action: &'static str,
    /// What the system said.
    pub got: io::Error,
    /// What the user can do about it.
    pub fix: String,
}

impl FileError {
    /// An error of `action` on `path`, with the fix that fits the kind of `got`.
    pub fn new(path: &Path, action: &'static str, got: io::Error) -> Self {
        let folder = folder_of(path).display().to_string();
        let fix = match got.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free some space on that disk or choose another folder".into()
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "choose a folder that you may write to".into()
            }
            ErrorKind::NotFound => format!("create the folder {folder} first"),
            ErrorKind::NotADirectory => format!("{folder} is not a folder; choose another one"),
            ErrorKind::IsADirectory => "that is a folder; give the name of a file in it".into(),
            _ => "check the path and the disk".into(),
        };
        Self { path: path.to_path_buf(), action, got, fix }
    }
}

/// Numbers for temporary files that this process has given out so far.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file in the making. Dropped without [`AtomicFile::commit`], it leaves no trace.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    // `None` once closed: Windows can't rename or remove an open file.
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Opens a new temporary file beside `target`, whose folder must exist. A device, pipe or socket there stays.
    pub fn create(target: impl AsRef<Path>) -> Result<Self, FileError> {
        let target = target.as_ref();
        let fail = |got: io::Error| FileError::new(target, "create the file", got);
        if target.is_dir() {
            return Err(fail(ErrorKind::IsADirectory.into()));
        }
        // /dev/stdout is a link to one in /proc, which leads to whatever the output goes to, perhaps a file.
        let is_stream = fs::read_link(target).is_ok_and(|to| to.starts_with("/proc"));
        if is_stream || fs::metadata(target).is_ok_and(|found| !found.is_file()) {
            return Err(fail(no_file()));
        }
        let Some(name) = target.file_name() else {
            return Err(fail(io::Error::new(ErrorKind::InvalidInput, "no file name")));
        };
        // The process id keeps two programs apart, the counter two threads of one.
        let process = if cfg!(target_family = "wasm") {
            0 // there are no process ids, asking for one panics
        } else {
            std::process::id()
        };
        loop {
            let count = COUNTER.fetch_add(1, Ordering::SeqCst);
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{process}-{count}.tmp"));
            let temporary = folder_of(target).join(hidden);
            let file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                // Left by a process that had the same id: in a container, each has 1.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file.map_err(fail)?,
            };
            let writer = Some(BufWriter::with_capacity(1 << 16, file));
            return Ok(Self { target: target.to_path_buf(), temporary, writer });
        }
    }

    /// Flushes to the disk and takes the target's name.
    pub fn commit(mut self) -> Result<(), FileError> {
        let writer = self.writer.take().expect("only commit and drop take it");
        let fail = |got| FileError::new(&self.target, "write the file", got);
        let file = writer.into_inner().map_err(|e| fail(e.into_error()))?;
        file.sync_all().map_err(fail)?;
        drop(file);
        fs::rename(&self.temporary, &self.target)
            .map_err(|got| FileError::new(&self.target, "replace the file", got))?;
        sync_folder(folder_of(&self.target));
        Ok(())
    }

    fn open_writer(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.writer.as_mut().ok_or_else(|| ErrorKind::BrokenPipe.into())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open_writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open_writer()?.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts().0); // closes without flushing what is not wanted any more
        }
        let _ = fs::remove_file(&self.temporary); // gone already after a commit
    }
}

/// Writes `path` whole or not at all; `write` gets a buffered writer.
///
/// # Examples
/// ```
/// use std::io::Write;
/// let path = std::env::temp_dir().join("onestep-doc-atomic-write.txt");
/// onestep_core::files::atomic_write(&path, |file| file.write_all(b"whole")).unwrap();
/// assert_eq!(std::fs::read(&path).unwrap(), b"whole");
/// # std::fs::remove_file(&path).unwrap();
/// ```
pub fn atomic_write(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
) -> Result<(), FileError> {
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    write(&mut file).map_err(|got| FileError::new(path, "write the file", got))?;
    file.commit()
}

/// Flushes the names in a folder to the disk, as far as its file system can: what was renamed is complete either way,
/// so a failure here is no failure.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Makes a folder and those above it that are missing, each with its name on the disk.
#[cfg(feature = "native")]
pub(crate) fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_folders(folder_of(path))?;
    fs::create_dir(path)?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Removes the temporary files in a folder whose writers were killed. No other machine or container may write there.
#[cfg(feature = "native")]
pub(crate) fn sweep(folder: &Path) {
    sweep_unchanged_for(folder, Duration::ZERO);
}

/// As [`sweep`], of a folder that machines and containers may share, where a process id says little: a file must not
/// have changed for a time in which any writer writes, either.
#[cfg(feature = "native")]
pub(crate) fn sweep_unchanged_for(folder: &Path, time: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_dead = entry.file_name().to_str().and_then(writer_of).is_some_and(|(process, count)| {
            if process == std::process::id() { count >= COUNTER.load(Ordering::SeqCst) } else { !is_alive(process) }
        });
        // The time of a file may lie ahead of this clock.
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_dead && (time.is_zero() || age().is_some_and(|age| age >= time)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that wrote the temporary file of this name, and its number there.
#[cfg(feature = "native")]
fn writer_of(name: &str) -> Option<(u32, u64)> {
    let (_, tag) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (process, count) = tag.split_once('-')?;
    Some((process.parse().ok()?, count.parse().ok()?))
}

/// Whether there is such a process; where nothing tells, there is none.
#[cfg(feature = "native")]
fn is_alive(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// The folder that holds `path`; `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn writes_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        atomic_write(&path, |file| file.write_all(b"one")).unwrap();
        atomic_write(&path, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn full_disk_keeps_the_old_file_and_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        atomic_write(&path, |file| file.write_all(b"old")).unwrap();
        let error = atomic_write(&path, |file| {
            file.write_all(&vec![0; 1 << 20])?;
            Err(ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
        let text = error.to_string();
        assert!(text.contains("a.txt") && text.contains("free some space"), "{text}");
    }

    /// Files of a program that was killed while it wrote stayed for ever.
    #[test]
    fn files_of_dead_writers_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // No process has this number.
        fs::write(at(".a.png.4294967295-3.tmp"), b"part").unwrap();
        fs::write(at(".mine.tmp"), b"").unwrap();
        let file = AtomicFile::create(at("b.txt")).unwrap();
        sweep(folder.path());
        file.commit().unwrap();
        assert_eq!(names(folder.path()), [".mine.tmp", "b.txt"]);
    }

    /// The next program has the same process id, 1 in a container, and counts from 0 again: "File exists", for ever.
    #[test]
    fn files_of_a_dead_writer_with_the_same_id_are_passed_over_and_swept() {
        let folder = tempfile::tempdir().unwrap();
        let left = |count| folder.path().join(format!(".a.txt.{}-{count}.tmp", std::process::id()));
        // Other tests count, too.
        let next = COUNTER.load(Ordering::SeqCst);
        for count in next..next + 50 {
            fs::write(left(count), b"part").unwrap();
        }
        atomic_write(folder.path().join("a.txt"), |file| file.write_all(b"whole")).unwrap();
        fs::write(left(u64::MAX), b"part").unwrap();
        sweep(folder.path());
        assert!(folder.path().join("a.txt").exists() && !left(u64::MAX).exists());
    }

    /// Containers share a cache, and each has a process 1 of its own.
    #[test]
    fn files_that_another_container_may_be_writing_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [new, old] = [1, 2].map(|count| folder.path().join(format!(".a.gz.4294967295-{count}.tmp")));
        fs::write(&new, b"part").unwrap();
        let hour = Duration::from_hours(1);
        File::create(&old).unwrap().set_modified(std::time::SystemTime::now() - 2 * hour).unwrap();
        sweep_unchanged_for(folder.path(), hour);
        assert!(new.exists() && !old.exists());
    }

    #[test]
    fn panic_in_the_writer_leaves_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let outcome = std::panic::catch_unwind(|| {
            atomic_write(&path, |file| {
                file.write_all(b"part")?;
                panic!("on purpose")
            })
        });
        assert!(outcome.is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn absent_folder_file_as_folder_and_folder_as_file_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent/a.txt");
        let text = atomic_write(&absent, |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("a.txt") && text.contains("create the folder"), "{text}");

        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let text = atomic_write(file.join("a.txt"), |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("a.txt"), "{text}");

        let text = atomic_write(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("that is a folder"), "{text}");
        assert_eq!(names(folder.path()), ["file"]);
    }

    /// As the superuser, `--out /dev/null` put a file in the place of the device.
    #[cfg(unix)]
    #[test]
    fn device_socket_and_stream_are_not_replaced() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        symlink("/proc/self/fd/1", at("stdout")).unwrap();
        for name in ["socket", "device", "stdout"] {
            let text = AtomicFile::create(at(name)).unwrap_err().to_string();
            assert!(text.contains(name) && text.contains("device or pipe"), "{text}");
        }
        assert_eq!(names(folder.path()), ["device", "socket", "stdout"]);
        assert!(AtomicFile::create("/dev/null").is_err());
        // A link to a file is replaced, whether that is there or not.
        fs::write(at("file"), b"old").unwrap();
        for (name, to) in [("link", "file"), ("dangling", "absent")] {
            symlink(at(to), at(name)).unwrap();
            atomic_write(at(name), |file| file.write_all(b"new")).unwrap();
        }
        assert_eq!(fs::read(at("file")).unwrap(), b"old");
    }

    // Unlike a read-only folder, /proc refuses even the superuser.
    #[cfg(target_os = "linux")]
    #[test]
    fn unwritable_folder_is_an_error_that_names_the_path() {
        let text = atomic_write("/proc/onestep.txt", |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("/proc/onestep.txt"), "{text}");
    }

    #[test]
    fn bare_name_belongs_to_the_current_folder() {
        assert_eq!(folder_of(Path::new("a.txt")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a.txt")), Path::new("b"));
    }
}
