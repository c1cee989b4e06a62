//! A disk that may lose what was not flushed.
//!
//! A file keeps the bytes that it had when it was last flushed, and any part of those behind them, which may also read
//! as zeros. A folder keeps the names that it had when it was last flushed, and a first part of the changes since, in
//! their order. Folders and files lose independently of each other, which is more than file systems with a journal do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use onestep_core::random::threefry2x32;

use super::record::Deed;

/// Names that a change gives to nodes, or takes away.
type Change = Vec<(String, Option<usize>)>;

#[derive(Clone)]
enum Node {
    File { bytes: Vec<u8>, kept: usize },
    Folder { changes: Vec<Change>, kept: usize },
}

/// A folder and all that is in it.
#[derive(Clone)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
}

/// What is lost when the power goes.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Nothing: the program was killed.
    Nothing,
    /// All that was not flushed.
    Everything,
    /// What was written to files and not flushed, but no names.
    Bytes,
    /// The same, and zeros are in its place.
    Zeros,
    /// Some of it, by chance.
    Some(u32),
}

/// What is left, by path in the folder; nothing for folders.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// A folder as it is, all of it flushed.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self { root: root.canonicalize().unwrap(), nodes: vec![folder()] };
        disk.take(0, root);
        disk
    }

    fn take(&mut self, node: usize, path: &Path) {
        let mut change = Change::new();
        for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
            let child = self.nodes.len();
            if entry.path().is_dir() {
                self.nodes.push(folder());
                self.take(child, &entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                self.nodes.push(Node::File { kept: bytes.len(), bytes });
            }
            change.push((entry.file_name().into_string().unwrap(), Some(child)));
        }
        self.nodes[node] = Node::Folder { changes: vec![change], kept: 1 };
    }

    /// Does what a program did.
    pub fn apply(&mut self, deed: &Deed) {
        match deed {
            Deed::Create(path) => match self.find(path) {
                Some(_) => {}
                None => self.add(path, Node::File { bytes: Vec::new(), kept: 0 }),
            },
            Deed::Folder(path) => self.add(path, folder()),
            Deed::Write(path, new) => {
                if let Node::File { bytes, .. } = self.at(path) {
                    bytes.extend(new);
                }
            }
            Deed::Cut(path, length) => {
                if let Node::File { bytes, kept } = self.at(path) {
                    bytes.truncate(*length);
                    *kept = (*kept).min(*length);
                }
            }
            Deed::Sync(path) => match self.at(path) {
                Node::File { bytes, kept } => *kept = bytes.len(),
                Node::Folder { changes, kept } => *kept = changes.len(),
            },
            Deed::Rename(from, to) => {
                let node = self.find(from);
                assert!(node.is_some() && from.parent() == to.parent(), "{} to {}", from.display(), to.display());
                self.change(from, vec![(name(from), None), (name(to), node)]);
            }
            Deed::Remove(path) => self.change(path, vec![(name(path), None)]),
        }
    }

    fn add(&mut self, path: &Path, node: Node) {
        self.nodes.push(node);
        self.change(path, vec![(name(path), Some(self.nodes.len() - 1))]);
    }

    /// Changes names in the folder that a path is in.
    fn change(&mut self, path: &Path, change: Change) {
        match self.at(path.parent().unwrap()) {
            Node::Folder { changes, .. } => changes.push(change),
            Node::File { .. } => panic!("{} is in a file", path.display()),
        }
    }

    fn at(&mut self, path: &Path) -> &mut Node {
        let node = self.find(path).unwrap_or_else(|| panic!("{} is not there", path.display()));
        &mut self.nodes[node]
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let inside = path.strip_prefix(&self.root).expect("in the folder");
        inside.components().try_fold(0, |node, part| match &self.nodes[node] {
            Node::Folder { changes, .. } => entries(changes).get(part.as_os_str().to_str()?).copied(),
            Node::File { .. } => None,
        })
    }

    /// What is left when the power goes now.
    pub fn after(&self, loss: Loss) -> Tree {
        let mut tree = Tree::new();
        self.leave(0, Path::new(""), loss, &mut tree);
        tree
    }

    fn leave(&self, node: usize, path: &Path, loss: Loss, tree: &mut Tree) {
        let some = |kept: usize, all: usize, seed: u32| {
            let [draw, _] = threefry2x32([0xD15C, seed], [node as u32, all as u32]);
            kept + draw as usize % (all - kept + 1)
        };
        match &self.nodes[node] {
            Node::File { bytes, kept } => {
                let mut left = bytes.clone();
                match loss {
                    Loss::Nothing => {}
                    Loss::Everything | Loss::Bytes => left.truncate(*kept),
                    Loss::Zeros => left[*kept..].fill(0),
                    Loss::Some(seed) => left.truncate(some(*kept, bytes.len(), seed)),
                }
                tree.insert(path.to_owned(), Some(left));
            }
            Node::Folder { changes, kept } => {
                let left = match loss {
                    Loss::Nothing | Loss::Bytes | Loss::Zeros => changes.len(),
                    Loss::Everything => *kept,
                    Loss::Some(seed) => some(*kept, changes.len(), seed),
                };
                tree.insert(path.to_owned(), None);
                for (name, child) in entries(&changes[..left]) {
                    self.leave(child, &path.join(name), loss, tree);
                }
            }
        }
    }
}

/// Writes what is left into a folder.
pub fn write(tree: &Tree, folder: &Path) {
    for (path, bytes) in tree {
        let path = folder.join(path);
        match bytes {
            None => std::fs::create_dir_all(path).unwrap(),
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
        }
    }
}

fn folder() -> Node {
    Node::Folder { changes: Vec::new(), kept: 0 }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The names in a folder after some changes.
fn entries(changes: &[Change]) -> BTreeMap<String, usize> {
    let mut entries = BTreeMap::new();
    for (name, node) in changes.iter().flatten() {
        match node {
            Some(node) => drop(entries.insert(name.clone(), *node)),
            None => drop(entries.remove(name)),
        }
    }
    entries
}
