//! Nearest neighbours on the worker: has the generator learned images by heart?
//!
//! Training images are compared in chunks, so that a large data set neither fills the memory as `f32` nor keeps a
//! newer task waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use onestep_core::data::{Dataset, LoadOptions, Official, cache_dir, load, load_path};
use onestep_core::eval::nearest::{Neighbour, nearest};
use onestep_core::eval::{EvalError, Rows};
use onestep_core::model::ModelMeta;

use super::bench::images;
use super::job::{Answer, Compared, Form, Samples};
use super::worker::Turn;
use crate::exit::bad_input;

/// Training images at a time: a few milliseconds of 28 x 28 pixels.
const CHUNK: usize = 2048;
/// The data set that is built in.
const BUILT_IN: &str = "mnist-10k";

/// Training images, once they have been asked for.
#[derive(Default)]
pub struct Memory {
    loaded: Option<(Source, Dataset)>,
}

/// Where training images come from without a download.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    BuiltIn,
    Path(PathBuf),
}

impl Source {
    /// What was chosen, else what the model names.
    fn find(chosen: Option<&Path>, dataset: &str) -> Option<Self> {
        match chosen {
            Some(path) => Some(Self::Path(path.to_path_buf())),
            None if dataset == BUILT_IN => Some(Self::BuiltIn),
            None => downloaded(Official::parse(dataset)?).map(Self::Path),
        }
    }

    fn load(&self, [height, width, channels]: [usize; 3]) -> anyhow::Result<Dataset> {
        let options = LoadOptions { resize: Some((width, height)), channels: Some(channels), ..LoadOptions::default() };
        Ok(match self {
            Self::BuiltIn => load(BUILT_IN, &options)?,
            Self::Path(path) => load_path(path, &options)?,
        })
    }
}

/// The files of a public data set, if an earlier download left all of them.
fn downloaded(set: Official) -> Option<PathBuf> {
    let folder = cache_dir()?.join(set.name());
    let is_there = |name: &str, bytes| std::fs::metadata(folder.join(name)).is_ok_and(|file| file.len() == bytes);
    let files = set.files();
    let complete = files.iter().all(|file| is_there(file.name, file.bytes));
    complete.then(|| if let [archive] = files { folder.join(archive.name) } else { folder.clone() })
}

impl Memory {
    /// The nearest training image of each sample; nothing if it gave way to another task.
    pub fn compare(
        &mut self,
        meta: &ModelMeta,
        first: u32,
        samples: &Samples,
        chosen: Option<&Path>,
        turn: &Turn<'_>,
    ) -> anyhow::Result<Option<Answer>> {
        let shape =
            samples.image_shape().ok_or_else(|| bad_input!("points have no training images to compare with"))?;
        let Some(source) = Source::find(chosen, &meta.dataset) else {
            return Ok(Some(Answer::Missing(missing(&meta.dataset))));
        };
        let data = match &mut self.loaded {
            Some((from, data)) if *from == source => data,
            loaded => {
                turn.tell(Answer::Working("Loading the training images".into()));
                *loaded = None; // not two data sets in memory
                let data = source.load(shape)?;
                &mut loaded.insert((source, data)).1
            }
        };
        let Some(neighbours) = search(data, &samples.bytes, turn)? else { return Ok(None) };

        let pairs = samples.bytes.chunks_exact(data.image_len()).zip(&neighbours);
        let bytes = pairs.flat_map(|(sample, near)| [sample, data.image(near.index)].concat()).collect();
        let pairs = Samples { values: Vec::new(), bytes, shape: samples.shape.clone(), range: samples.range };
        Ok(Some(Answer::Compared(Compared {
            first,
            data: data.name.clone(),
            data_count: data.n,
            neighbours,
            images: images(&pairs, Form::Each)?,
            samples: Arc::new(pairs),
        })))
    }
}

/// What to do when the training images are not at hand.
fn missing(dataset: &str) -> String {
    match (Official::parse(dataset), dataset) {
        (Some(set), _) => {
            let name = set.name();
            format!(
                "This generator learned from {name}, which no download has left on this machine. Choose a folder or file \
                 that holds it; a run with `--data {name}` fetches it."
            )
        }
        (None, "") => "This model does not say what it learned from. Choose the folder or file of its images.".into(),
        (None, name) => format!("This generator learned from {name}. Choose the folder or file that holds its images."),
    }
}

/// The nearest image of each generated one, with distances for pixels from 0 to 1.
fn search(data: &Dataset, generated: &[u8], turn: &Turn<'_>) -> Result<Option<Vec<Neighbour>>, EvalError> {
    let width = data.image_len();
    let numbers = |bytes: &[u8]| bytes.iter().map(|b| f32::from(*b) / 255.0).collect::<Vec<f32>>();
    let generated = numbers(generated);
    let generated = Rows::new("generated images", &generated, generated.len() / width, width)?;
    let mut found: Vec<Neighbour> = Vec::new();
    let mut start = 0;
    while start < data.n {
        if turn.is_over() {
            return Ok(None);
        }
        // A search needs two images: a single last one goes with those before it.
        let end = if data.n - start <= CHUNK + 1 { data.n } else { start + CHUNK };
        let train = numbers(&data.images[start * width..end * width]);
        let near = nearest(&Rows::new("training images", &train, end - start, width)?, &generated)?;
        let near = near.into_iter().map(|near| Neighbour { index: start + near.index, ..near });
        found = if found.is_empty() {
            near.collect()
        } else {
            found.iter().zip(near).map(|(a, b)| closer(a, &b)).collect()
        };
        start = end;
        if start < data.n {
            turn.tell(Answer::Working(format!("Compared with {start} of {} images", data.n)));
        }
    }
    Ok(Some(found))
}

/// The neighbour among both chunks; of equal ones the first.
fn closer(a: &Neighbour, b: &Neighbour) -> Neighbour {
    let (near, far) = if b.distance < a.distance { (b, a) } else { (a, b) };
    Neighbour { second_distance: near.second_distance.min(far.distance), ..*near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_give_what_one_search_gives() {
        let of = |index, distance, second_distance| Neighbour { index, distance, second_distance };
        assert_eq!(closer(&of(1, 2.0, 5.0), &of(7, 3.0, 4.0)), of(1, 2.0, 3.0));
        assert_eq!(closer(&of(1, 2.0, 5.0), &of(7, 1.0, 4.0)), of(7, 1.0, 2.0));
        assert_eq!(closer(&of(1, 2.0, 5.0), &of(7, 1.0, 1.5)), of(7, 1.0, 1.5));
        assert_eq!(closer(&of(1, 2.0, 5.0), &of(7, 2.0, 2.0)), of(1, 2.0, 2.0));
    }

    #[test]
    fn training_images_are_found_or_asked_for() {
        assert_eq!(Source::find(None, "mnist-10k"), Some(Source::BuiltIn));
        assert_eq!(Source::find(Some("cats".as_ref()), "mnist-10k"), Some(Source::Path("cats".into())));
        assert_eq!(Source::find(None, "cats"), None);
        assert!(missing("mnist").contains("`--data mnist`"));
        assert!(missing("cats").contains("from cats") && missing("").contains("does not say"));
    }
}
