use super::classifier::*;
use super::image_features::*;
use crate::exec::{Executor, RunArgs, cpu::CpuExecutor};
#[test]
fn try_train() {
    let read = |f: &str| std::fs::read(format!("/tmp/mn/{f}")).unwrap();
    let (mut images, mut labels) = (read("train-images-idx3-ubyte"), read("train-labels-idx1-ubyte"));
    images.drain(..16); labels.drain(..8);
    let (mut ti, mut tl) = (read("t10k-images-idx3-ubyte"), read("t10k-labels-idx1-ubyte"));
    ti.drain(..16); tl.drain(..8);
    let n = labels.len();
    let mut e = Executor::Cpu(CpuExecutor::new());
    let len = store_len();
    for s in ["param", "grad", "m", "v", "ema"] { e.create_store(&format!("classifier.{s}"), len).unwrap(); }
    let init = layout().initial(0);
    e.write("classifier.param", 0, &init).unwrap();
    e.write("classifier.ema", 0, &init).unwrap();
    let words: Vec<u32> = images.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
    e.create_store("classifier.images", words.len()).unwrap();
    e.write_words("classifier.images", 0, &words).unwrap();
    e.create_store("classifier.labels", n).unwrap();
    e.write("classifier.labels", 0, &labels.iter().map(|&l| l as f32).collect::<Vec<_>>()).unwrap();
    e.create_store("classifier.stats", 3 * STATS_ROWS).unwrap();
    let steps = 300;
    let config = ClassifierConfig { steps, ..Default::default() };
    let plan = training_plan(n, config.batch).unwrap();
    let id = e.prepare(&plan).unwrap();
    let t = std::time::Instant::now();
    for step in 0..steps {
        let scalars = config.scalars(&plan.scalars, step).unwrap();
        e.run(id, &RunArgs { scalars: &scalars, seed: 1, step: step as u32 }).unwrap();
        if step % 50 == 49 {
            let s = pollster::block_on(e.read("classifier.stats", step % STATS_ROWS * 3, 3)).unwrap();
            println!("{step} {s:?} {:?}", t.elapsed());
        }
    }
    let b = 250;
    for (s, l) in [("batch", b * IMAGE), ("features", b * FEATURES), ("logits", b * CLASSES)] { e.create_store(&format!("classifier.{s}"), l).unwrap(); }
    let plan = feature_plan("classifier.ema", b).unwrap();
    let id = e.prepare(&plan).unwrap();
    let mut all = [Vec::new(), Vec::new()];
    let mut logits = Vec::new();
    let t = std::time::Instant::now();
    for (which, set) in [&ti, &images[..10_000 * IMAGE].to_vec()].into_iter().enumerate() {
        for batch in batches(set, b).unwrap() {
            e.write("classifier.batch", 0, &batch.pixels).unwrap();
            e.run(id, &RunArgs { scalars: &[], seed: 0, step: 0 }).unwrap();
            let f = pollster::block_on(e.read("classifier.features", 0, b * FEATURES)).unwrap();
            append_features(&mut all[which], &batch, &f);
            if which == 0 { logits.extend(pollster::block_on(e.read("classifier.logits", 0, b * CLASSES)).unwrap()); }
        }
    }
    println!("features of 20k {:?}; test accuracy {}", t.elapsed(), accuracy_of(&logits, &tl).unwrap());
    let stats = |v: &[f32]| super::frechet::FeatureStats::from_features(v, v.len() / 64, 64).unwrap();
    println!("fid test/train 10k: {}", super::frechet::frechet_distance(&stats(&all[0]), &stats(&all[1])).unwrap());
    let m = super::manifold::compare(&super::Rows::new("a", &all[1], 10_000, 64).unwrap(), &super::Rows::new("b", &all[0], 10_000, 64).unwrap(), 3);
    println!("{m:?}");
}
