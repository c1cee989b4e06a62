//! Tests of downloads against a server on this machine.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// A server that gives each path its raw answer, and notes what was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        // The thread lives until the test program ends.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else {
                    continue;
                };
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let found = answers.iter().find(|answer| answer.0 == path);
                let answer = found.map_or_else(
                    || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
                    |answer| answer.1.clone(),
                );
                log.lock().unwrap().push(path);
                // The other side may hang up first; that is part of what is tested.
                let _ = stream.write_all(&answer);
            }
        });
        Self { url, asked }
    }

    fn urls(&self, paths: &[&str]) -> Vec<String> {
        let urls = paths.iter().map(|path| format!("{}{path}", self.url));
        urls.collect()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn ok(announced: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn body() -> Vec<u8> {
    (0..200_000u32).map(|i| (i * 7 / 3) as u8).collect()
}

fn remote() -> RemoteFile {
    let mut hash = Sha256::new();
    hash.update(body());
    RemoteFile { name: "file.gz", bytes: body().len() as u64, sha256: hex(hash).leak() }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn go(urls: &[String], folder: &Path) -> Result<PathBuf, DataError> {
    fetch_file(&remote(), urls, folder, &mut |_| ControlFlow::Continue(()))
}

fn problem(answer: Vec<u8>) -> DownloadProblem {
    let server = Server::start(vec![("/file.gz", answer)]);
    let folder = tempfile::tempdir().unwrap();
    let error = go(&server.urls(&["/file.gz"]), folder.path()).unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new(), "nothing may stay in the cache");
    let text = error.to_string();
    assert!(text.contains("file.gz") && text.contains("mnist-10k"), "{text}");
    match error {
        DataError::Download { attempts, .. } => attempts[0].problem.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn right_file_is_cached_and_not_asked_for_again() {
    let server = Server::start(vec![("/file.gz", ok(200_000, &body()))]);
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a/b");
    let mut seen = Vec::new();
    let mut report = |done| {
        seen.push(done);
        ControlFlow::Continue(())
    };
    let urls = server.urls(&["/file.gz"]);
    let path = fetch_file(&remote(), &urls, &cache, &mut report).unwrap();
    assert_eq!(fs::read(&path).unwrap(), body());
    assert_eq!(seen.last(), Some(&200_000));
    assert!(seen.is_sorted());
    go(&urls, &cache).unwrap();
    assert_eq!(server.asked().len(), 1);
    assert_eq!(names(&cache), ["file.gz"]);

    // A cached file that went bad is fetched again.
    let mut bad = body();
    bad[77] ^= 1;
    fs::write(&path, bad).unwrap();
    go(&urls, &cache).unwrap();
    assert_eq!(fs::read(&path).unwrap(), body());
}

#[test]
fn wrong_checksum_is_refused() {
    let mut other = body();
    other[5] ^= 1;
    let got = problem(ok(200_000, &other));
    assert!(matches!(got, DownloadProblem::Checksum { .. }), "{got:?}");
}

#[test]
fn error_status_is_refused() {
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    assert_eq!(problem(answer), DownloadProblem::Status(404));
}

#[test]
fn cut_body_is_refused() {
    let got = problem(ok(200_000, &body()[..150_000]));
    let DownloadProblem::Length { wanted, got } = got else { panic!("{got:?}") };
    assert_eq!((wanted, got), (200_000, 150_000));
}

#[test]
fn other_lengths_are_refused() {
    let login_page = ok(11, b"please log in"[..11].into());
    let wanted = 200_000;
    assert_eq!(problem(login_page), DownloadProblem::Length { wanted, got: 11 });
    // Without an announced length, the end of the connection is the end of the body.
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let long = [&head[..], &body(), b"more"].concat();
    let got = problem(long);
    assert!(matches!(got, DownloadProblem::Length { got, .. } if got > wanted), "{got:?}");
    let short = [&head[..], &body()[..9]].concat();
    assert_eq!(problem(short), DownloadProblem::Length { wanted, got: 9 });
}

#[test]
fn answer_that_is_not_http_is_refused() {
    let got = problem(b"SSH-2.0-OpenSSH\r\n".to_vec());
    assert!(matches!(got, DownloadProblem::Connection(_)), "{got:?}");
}

#[test]
fn next_address_is_tried() {
    let server = Server::start(vec![("/second", ok(200_000, &body()))]);
    let folder = tempfile::tempdir().unwrap();
    go(&server.urls(&["/first", "/second"]), folder.path()).unwrap();
    assert_eq!(server.asked(), ["/first", "/second"]);
}

#[test]
fn unreachable_server_is_an_error_that_names_everything() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{address}/x");
    let text = go(std::slice::from_ref(&url), folder.path()).unwrap_err().to_string();
    let place = folder.path().display().to_string();
    for word in ["file.gz", &url, &place] {
        assert!(text.contains(word), "\"{word}\" is not in: {text}");
    }
}

#[test]
fn stop_leaves_nothing_behind() {
    let server = Server::start(vec![("/file.gz", ok(200_000, &body()))]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch_file(&remote(), &server.urls(&["/file.gz"]), folder.path(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(error, Err(DataError::Stopped { .. })));
    assert!(names(folder.path()).is_empty());
}

/// Parts of downloads that were killed stayed in the cache for ever.
#[test]
fn part_of_a_killed_download_is_removed_later() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("mnist");
    fs::create_dir(&folder).unwrap();
    let part = File::create(folder.join(".train-images-idx3-ubyte.gz.4294967295-0.tmp")).unwrap();
    part.set_modified(std::time::SystemTime::now() - 2 * DEAD_AFTER).unwrap();
    let server = Server::start(vec![]);
    let options = DownloadOptions { cache: cache.path().into(), base_url: Some(server.url) };
    assert!(fetch(Official::Mnist, &options, &mut |_| ControlFlow::Continue(())).is_err());
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn base_url_replaces_the_addresses() {
    let server = Server::start(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let options = DownloadOptions { cache: folder.path().into(), base_url: Some(format!("{}/", server.url)) };
    let mut progress = |_| ControlFlow::Continue(());
    assert!(fetch(Official::FashionMnist, &options, &mut progress).is_err());
    assert_eq!(server.asked(), ["/fashion-mnist/train-images-idx3-ubyte.gz"]);
    let public = DownloadOptions { base_url: None, ..options };
    let urls = public.urls(Official::Cifar10, &Official::Cifar10.files()[0]);
    assert_eq!(urls, ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]);
}
