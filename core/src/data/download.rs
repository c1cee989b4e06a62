//! Downloading the official data sets once.
//!
//! Invariant: a file in the cache has the right SHA-256. A download goes to a temporary
//! name and gets its own only when every byte is there and the sum is right; a file that
//! went bad later is fetched again. Which files those are: [`super::official`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cache::cache_dir;
use super::error::{Attempt, DownloadProblem};
use super::official::{Official, RemoteFile};
use super::{DataError, read};
use crate::files::{AtomicFile, FileError, sweep_unchanged_for};

/// A file whose download was killed is removed after this time. While one goes on, something is written each minute.
const DEAD_AFTER: Duration = Duration::from_hours(1);

/// State of a running download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// File that is being fetched.
    pub file: &'static str,
    /// Which file of the set this is, from 0.
    pub index: usize,
    /// Number of files of the set.
    pub files: usize,
    /// Bytes of this file that have come.
    pub done_bytes: u64,
    /// Bytes of this file.
    pub total_bytes: u64,
}

/// Called after each piece of a file; `Break` stops the download.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Where to download from and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadOptions {
    /// Folder of the cache; made if absent. Each set has a subfolder of its name.
    pub cache: PathBuf,
    /// Replaces the public addresses: files are at `{base_url}/{set}/{file}`.
    pub base_url: Option<String>,
}

impl DownloadOptions {
    /// The cache of this system, and `ONESTEP_DATA_URL` if that is set.
    pub fn from_env() -> Result<Self, DataError> {
        let cache = cache_dir().ok_or_else(|| DataError::Option {
            option: "ONESTEP_CACHE",
            wanted: "a folder for downloads".into(),
            got: "nothing, and no home folder either".into(),
            fix: "set ONESTEP_CACHE to a folder that you may write to".into(),
        })?;
        let base_url = std::env::var("ONESTEP_DATA_URL").ok();
        Ok(Self { cache, base_url: base_url.filter(|url| !url.is_empty()) })
    }

    fn urls(&self, set: Official, file: &RemoteFile) -> Vec<String> {
        if let Some(base) = &self.base_url {
            let base = base.trim_end_matches('/');
            return vec![format!("{base}/{}/{}", set.name(), file.name)];
        }
        let bases = set.addresses().iter();
        bases.map(|base| format!("{base}{}", file.name)).collect()
    }
}

/// Makes sure that the files of `set` are in the cache.
///
/// Returns what [`super::load_path`] takes: the folder, or the archive of CIFAR-10.
pub fn fetch(set: Official, options: &DownloadOptions, progress: OnProgress<'_>) -> Result<PathBuf, DataError> {
    let folder = options.cache.join(set.name());
    sweep_unchanged_for(&folder, DEAD_AFTER);
    let files = set.files();
    for (index, file) in files.iter().enumerate() {
        let mut report = |done_bytes| {
            progress(Progress { file: file.name, index, files: files.len(), done_bytes, total_bytes: file.bytes })
        };
        fetch_file(file, &options.urls(set, file), &folder, &mut report)?;
    }
    Ok(match files {
        [archive] => folder.join(archive.name),
        _ => folder,
    })
}

/// Makes sure that `file` is in `folder`, from the first of `urls` that has it.
fn fetch_file(
    file: &RemoteFile,
    urls: &[String],
    folder: &Path,
    report: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<PathBuf, DataError> {
    let path = folder.join(file.name);
    if is_intact(&path, file)? {
        return Ok(path);
    }
    fs::create_dir_all(folder).map_err(|got| FileError::new(folder, "create the folder for downloads", got))?;
    let mut attempts = Vec::new();
    for url in urls {
        match download(file, url, &path, report)? {
            Ok(()) => return Ok(path),
            Err(problem) => attempts.push(Attempt { url: url.clone(), problem }),
        }
    }
    Err(DataError::Download { file: file.name.to_owned(), folder: folder.to_path_buf(), attempts })
}

/// Whether the cached file is there and right.
fn is_intact(path: &Path, file: &RemoteFile) -> Result<bool, DataError> {
    let right_length = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == file.bytes);
    if !right_length {
        return Ok(false);
    }
    let hash = hash_file(path).map_err(|got| read::read_error(path, "a cached download", got))?;
    Ok(hash == file.sha256)
}

/// SHA-256 of a file, in hexadecimal digits.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
    Ok(hex(hash))
}

/// SHA-256 of words, little end first, in hexadecimal.
pub(crate) fn hash_words<'a>(words: impl IntoIterator<Item = &'a u32>) -> String {
    let mut hash = Sha256::new();
    words.into_iter().for_each(|word| hash.update(word.to_le_bytes()));
    hex(hash)
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn hex(hash: Sha256) -> String {
    use std::fmt::Write;
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    })
}

/// One try. The outer error ends everything (disk, stop), the inner one only this address.
fn download(
    file: &RemoteFile,
    url: &str,
    path: &Path,
    report: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Result<(), DownloadProblem>, DataError> {
    let mut body = match request(file, url) {
        Ok(body) => body,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut target = AtomicFile::create(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A server that hangs up early is told from one that can't be reached.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Ok(Err(DownloadProblem::Connection(error.to_string()))),
        };
        done += count as u64;
        if done > file.bytes {
            break;
        }
        hash.update(&buffer[..count]);
        target.write_all(&buffer[..count]).map_err(|got| FileError::new(path, "write the file", got))?;
        if report(done).is_break() {
            return Err(DataError::Stopped { file: file.name.to_owned() });
        }
    }
    if done != file.bytes {
        return Ok(Err(length(file, done)));
    }
    let got = hex(hash);
    if got != file.sha256 {
        return Ok(Err(DownloadProblem::Checksum { wanted: file.sha256.to_owned(), got }));
    }
    target.commit()?;
    Ok(Ok(()))
}

fn length(file: &RemoteFile, got: u64) -> DownloadProblem {
    DownloadProblem::Length { wanted: file.bytes, got }
}

/// The body of `url`, if the server answers with a file of the right length.
fn request(file: &RemoteFile, url: &str) -> Result<impl Read + use<>, DownloadProblem> {
    let seconds = |n| Some(Duration::from_secs(n));
    let mut config = ureq::Agent::config_builder()
        .user_agent(concat!("onestep/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(seconds(20))
        .timeout_recv_response(seconds(60))
        // For each piece, not for the whole: 170 MB may take long.
        .timeout_per_read(seconds(60));
    // No proxy stands between a machine and itself.
    if ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|own| url.starts_with(own)) {
        config = config.proxy(None);
    }
    let agent = config.build().new_agent();
    let response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(code) => DownloadProblem::Status(code),
        other => DownloadProblem::Connection(other.to_string()),
    })?;
    let body = response.into_body();
    match body.content_length() {
        Some(announced) if announced != file.bytes => Err(length(file, announced)),
        _ => Ok(body.into_reader()),
    }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
