//! Model files: read from a path or from bytes (the web has no paths), written atomically.

use std::io::{self, Write};
#[cfg(feature = "native")]
use std::path::Path;

use super::header::Header;
use super::tensors::{self, Storage};
use super::{ModelError, ModelKind, ModelMeta, ModelProblem};
#[cfg(feature = "native")]
use crate::files::atomic_write;
#[cfg(feature = "native")]
use crate::nets::LayoutError;
use crate::nets::{ParamLayout, Tensors};

/// Largest file that is read: the states of a run with the largest published CIFAR-10 network
/// need a quarter of it.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// A model: what it says about itself, and its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Where it came from or goes to, for messages.
    pub name: String,
    /// What it says about itself.
    pub meta: ModelMeta,
    /// Tensors in PyTorch-style axes; all numbers are finite.
    pub tensors: Tensors,
}

impl ModelFile {
    /// A model of one network from its flat parameters. States add more tensors
    /// ([`ParamLayout::to_tensors`]) with prefixes.
    pub fn new(meta: ModelMeta, layout: &ParamLayout, parameters: &[f32]) -> Self {
        Self { name: "new model".into(), meta, tensors: layout.to_tensors("", parameters) }
    }

    #[cfg(feature = "native")]
    /// Reads a file; of the state of a run only what it says about itself, since that can be large, and is for nobody but
    /// [`ModelFile::open_state`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::read(path.as_ref(), None)
    }

    #[cfg(feature = "native")]
    /// Reads the state of a run, or any other file. `belongs` refuses the names and shapes of a state's tensors before
    /// their content is read.
    pub fn open_state(
        path: impl AsRef<Path>,
        belongs: impl Fn(&[(&str, &[usize])]) -> Result<(), LayoutError>,
    ) -> Result<Self, ModelError> {
        Self::read(path.as_ref(), Some(&belongs))
    }

    #[cfg(feature = "native")]
    fn read(path: &Path, state: Option<&Belongs<'_>>) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let read = |got| ModelProblem::Read { got }.in_file(&name);
        let metadata = std::fs::metadata(path).map_err(read)?;
        // A pipe may never say anything, and a device may never end.
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(ModelProblem::Special.in_file(&name));
        }
        let got = metadata.len();
        if got > MAX_FILE_BYTES {
            return Err(ModelProblem::TooLarge { got, limit: MAX_FILE_BYTES }.in_file(&name));
        }
        let file = std::fs::File::open(path).map_err(read)?;
        let (meta, tensors) = read_file(file, got, state).map_err(|problem| problem.in_file(&name))?;
        Ok(Self { name, meta, tensors })
    }

    /// Reads the content of a file; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let (meta, tensors) = decode(bytes).map_err(|problem| problem.in_file(name))?;
        Ok(Self { name: name.to_owned(), meta, tensors })
    }

    /// The flat parameters of a network of this layout whose tensors start with `prefix`.
    pub fn parameters(&self, prefix: &str, layout: &ParamLayout) -> Result<Vec<f32>, ModelError> {
        layout.from_tensors(prefix, &self.tensors).map_err(|error| ModelProblem::from(error).in_file(&self.name))
    }

    /// The flat parameters of the one network in a file that is not a state.
    pub fn own_parameters(&self) -> Result<Vec<f32>, ModelError> {
        self.parameters("", &own_layout(&self.meta))
    }

    #[cfg(feature = "native")]
    /// Writes the file whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>, storage: Storage) -> Result<(), ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        tensors::check(&self.tensors, storage).map_err(|problem| problem.in_file(&name))?;
        atomic_write(path, |file| self.write(file, storage)).map_err(|error| ModelProblem::from(error).in_file(&name))
    }

    /// The content of the file.
    pub fn to_bytes(&self, storage: Storage) -> Result<Vec<u8>, ModelError> {
        tensors::check(&self.tensors, storage).map_err(|problem| problem.in_file(&self.name))?;
        let mut bytes = Vec::new();
        self.write(&mut bytes, storage).expect("a vector takes any number of bytes");
        Ok(bytes)
    }

    fn write(&self, out: &mut impl Write, storage: Storage) -> io::Result<()> {
        let entries = self.meta.entries();
        #[cfg(feature = "native")]
        let entries = super::checksums::seal(entries, &self.tensors, storage);
        tensors::write(out, entries, &self.tensors, storage)
    }
}

/// Whether tensors of these names and shapes are those of a state.
#[cfg(feature = "native")]
type Belongs<'a> = dyn Fn(&[(&str, &[usize])]) -> Result<(), LayoutError> + 'a;

/// The layout of the one network in a file that is not a state.
fn own_layout(meta: &ModelMeta) -> ParamLayout {
    match meta.kind {
        ModelKind::Ratio => meta.network.ratio_layout(),
        ModelKind::Generator | ModelKind::Denoiser | ModelKind::State => meta.network.generator_layout(),
    }
}

fn decode(bytes: &[u8]) -> Result<(ModelMeta, Tensors), ModelProblem> {
    let header = Header::parse(bytes)?;
    let meta = ModelMeta::parse(header.metadata.as_deref())?;
    let tensors = tensors::values(&header, |[start, end]| Ok(&header.data[start..end]))?;
    Ok((meta, tensors))
}

/// As [`decode`], of a file of so many bytes. What does not belong to the file's network is refused before it is read,
/// and of the file's bytes one tensor is in memory at a time.
#[cfg(feature = "native")]
fn read_file(
    mut file: std::fs::File,
    length: u64,
    state: Option<&Belongs<'_>>,
) -> Result<(ModelMeta, Tensors), ModelProblem> {
    use std::io::Read;
    let fail = |got| ModelProblem::Read { got };
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut head).map_err(fail)?;
    if let Some(start) = head.first_chunk() {
        let rest = super::header::bytes_before_data(*start) - 8;
        Read::by_ref(&mut file).take(rest).read_to_end(&mut head).map_err(fail)?;
    }
    let header = Header::parse_start(&head, length)?;
    let meta = ModelMeta::parse(header.metadata.as_deref())?;
    let named: Vec<_> = header.entries.iter().map(|entry| (&entry.name[..], &entry.shape[..])).collect();
    match (meta.kind, state) {
        (ModelKind::State, None) => return Ok((meta, Tensors::new())),
        (ModelKind::State, Some(belongs)) => belongs(&named)?,
        _ => own_layout(&meta).check("", named.into_iter())?,
    }
    let tensors = tensors::values(&header, |[start, end]| {
        let mut bytes = Vec::with_capacity(end - start);
        Read::by_ref(&mut file).take((end - start) as u64).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() < end - start {
            return Err(ModelProblem::Truncated { wanted: length, got: length - (end - start - bytes.len()) as u64 });
        }
        Ok(bytes)
    })?;
    Ok((meta, tensors))
}

#[cfg(test)]
mod tests;
