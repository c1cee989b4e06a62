//! Images to the features on which they are judged: the classifier on the chosen device.

use onestep_core::eval::classifier::{IMAGE, append_features, batches, feature_plan, store_len};
use onestep_core::eval::image_features::{CLASSES, FEATURES, SIDE};
use onestep_core::exec::{Executor, RunArgs};

use crate::exit::bad_input;

/// Images per run of the classifier.
const BATCH: usize = 250;

/// The weights of the classifier.
fn weights() -> anyhow::Result<Vec<f32>> {
    Err(bad_input!("this build has no weights of the digit classifier, on which images are judged"))
}

/// Features `[N, 64]` of `images` of one shape, H x W x C.
pub fn features(executor: &mut Executor, images: &[u8], shape: &[usize]) -> anyhow::Result<Vec<f32>> {
    if shape != [SIDE, SIDE, 1] {
        return Err(bad_input!(
            "the lenet features are made for grey images of {SIDE} x {SIDE}, these are {shape:?}; \
             measure copies, or look at a grid"
        ));
    }
    let weights = weights()?;
    for (store, len) in [
        ("judge.param", store_len()),
        ("classifier.batch", BATCH * IMAGE),
        ("classifier.features", BATCH * FEATURES),
        ("classifier.logits", BATCH * CLASSES),
    ] {
        executor.create_store(store, len)?;
    }
    executor.write("judge.param", 0, &weights)?;
    let plan = executor.prepare(&feature_plan("judge.param", BATCH)?)?;
    let mut all = Vec::with_capacity(images.len() / IMAGE * FEATURES);
    for batch in batches(images, BATCH)? {
        executor.write("classifier.batch", 0, &batch.pixels)?;
        executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        let features = pollster::block_on(executor.read("classifier.features", 0, BATCH * FEATURES))?;
        append_features(&mut all, &batch, &features);
    }
    Ok(all)
}
