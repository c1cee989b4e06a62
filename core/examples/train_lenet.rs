//! Makes `assets/lenet-mnist.safetensors`, the classifier on whose features images are judged, from the original files
//! of MNIST: `cargo run --release -p onestep-core --example train_lenet -- MNIST_FOLDER OUTPUT`
//!
//! Trains on all 60,000 training images with this project's engine on the processor, measures the accuracy on the
//! 10,000 test images, and prints what real images get on the metrics.

#[cfg(feature = "native")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<std::path::PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    let [mnist, output] = arguments.as_slice() else {
        eprintln!("usage: train_lenet MNIST_FOLDER OUTPUT");
        std::process::exit(2);
    };
    native::run(mnist, output)
}

#[cfg(not(feature = "native"))]
fn main() {
    eprintln!("train_lenet reads files: build it with the feature `native`");
    std::process::exit(2);
}

#[cfg(feature = "native")]
mod native {
    use std::collections::BTreeMap;
    use std::error::Error;
    use std::io::Write;
    use std::path::Path;
    use std::time::Instant;

    use onestep_core::data::{LoadOptions, Split, load_path};
    use onestep_core::eval::classifier::{
        ClassifierConfig, IMAGE, NETWORK, STATS_ROWS, layout, store_len, training_plan,
    };
    use onestep_core::eval::lenet::Lenet;
    use onestep_core::eval::report::MetricKind;
    use onestep_core::exec::cpu::CpuExecutor;
    use onestep_core::exec::{ExecError, Executor, RunArgs};
    use onestep_core::files::atomic_write;
    use onestep_core::model::Storage;
    use pollster::block_on;

    /// Of the first weights and the batches.
    const SEED: u32 = 0;
    /// Share of test images that 16-bit weights may lose before 32-bit ones are written: two of 10,000, less than
    /// another seed changes.
    const LOSS_OF_HALF: f64 = 2e-4;
    /// Images on each side of the metrics of real images.
    const FLOOR_IMAGES: usize = 10_000;

    type Outcome<T> = Result<T, Box<dyn Error>>;

    /// A split of MNIST.
    struct Digits {
        images: Vec<u8>,
        labels: Vec<u8>,
    }

    impl Digits {
        fn load(mnist: &Path, split: Split, wanted: usize) -> Outcome<Self> {
            let data = load_path(mnist, &LoadOptions { split, ..LoadOptions::default() })?;
            let name = format!("{}, split {}", mnist.display(), split.name());
            if data.shape() != [wanted, 28, 28, 1] {
                let got = data.shape();
                return Err(format!("{name}: wanted {wanted} x 28 x 28 x 1, got {got:?}; give MNIST's folder").into());
            }
            let labels = data.labels.ok_or_else(|| format!("{name}: no labels; put MNIST's label file beside it"))?;
            Ok(Self { images: data.images, labels: labels.into_iter().map(|label| label as u8).collect() })
        }
    }

    pub fn run(mnist: &Path, output: &Path) -> Outcome<()> {
        let train = Digits::load(mnist, Split::Train, 60_000)?;
        let test = Digits::load(mnist, Split::Test, 10_000)?;
        let config = ClassifierConfig::default();
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let start = Instant::now();
        let weights = block_on(training(&mut executor, &train, &config))?;
        println!("{} steps of {} in {:.0} s", config.steps, config.batch, start.elapsed().as_secs_f64());

        let mut accuracy = |lenet: &Lenet| block_on(lenet.accuracy(&mut executor, &test.images, &test.labels));
        let exact = Lenet::new(weights, 0.0, notes(&config));
        let half = Lenet::from_bytes("16-bit weights", &exact.to_bytes(Storage::F16)?)?;
        let (with_f32, with_f16) = (accuracy(&exact)?, accuracy(&half)?);
        println!("test accuracy {with_f32:.4} in 32 bits, {with_f16:.4} in 16 bits");
        let (storage, measured) =
            if with_f16 < with_f32 - LOSS_OF_HALF { (Storage::F32, with_f32) } else { (Storage::F16, with_f16) };
        let lenet = Lenet::new(exact.weights().to_vec(), measured, notes(&config));
        let bytes = lenet.to_bytes(storage)?;
        atomic_write(output, |file| file.write_all(&bytes))?;
        println!("{}: {} bytes, {storage:?}", output.display(), bytes.len());

        let written = Lenet::from_bytes(&output.display().to_string(), &std::fs::read(output)?)?;
        block_on(floors(&mut executor, &written, &train, &test))
    }

    /// What the file says about itself, beside its format and accuracy.
    fn notes(config: &ClassifierConfig) -> BTreeMap<String, String> {
        let ClassifierConfig { batch, steps, .. } = config;
        let entries = [
            ("what", "LeNet-like classifier of handwritten digits; its 64 features carry the *_lenet metrics".into()),
            ("dataset", "MNIST (LeCun, Cortes, Burges), all 60000 training images".into()),
            ("license", "CC BY-SA 3.0 (the training data's)".into()),
            ("seed", SEED.to_string()),
            ("training", format!("{steps} steps of {batch}, Adam, cosine schedule, averaged weights")),
            (
                "command",
                "cargo run --release -p onestep-core --example train_lenet -- MNIST_FOLDER \
                 assets/lenet-mnist.safetensors"
                    .into(),
            ),
            ("created_by", concat!("onestep ", env!("CARGO_PKG_VERSION")).into()),
        ];
        entries.map(|(key, text)| (key.to_owned(), text)).into()
    }

    /// The averaged weights after training.
    async fn training(executor: &mut Executor, train: &Digits, config: &ClassifierConfig) -> Outcome<Vec<f32>> {
        let rows = train.labels.len();
        fill_stores(executor, train)?;
        let plan = training_plan(rows, config.batch)?;
        let id = executor.prepare(&plan)?;
        let start = Instant::now();
        for step in 0..config.steps {
            let scalars = config.scalars(&plan.scalars, step)?;
            executor.run(id, &RunArgs { scalars: &scalars, seed: SEED, step: step as u32 })?;
            if (step + 1) % STATS_ROWS == 0 {
                let [loss, accuracy] = latest(executor).await?;
                let secs = start.elapsed().as_secs_f64();
                println!("step {:>5}: loss {loss:.4}, accuracy {accuracy:.4}, {secs:.0} s", step + 1);
                if !loss.is_finite() {
                    return Err("the training diverged; lower the learning rate of ClassifierConfig".into());
                }
            }
        }
        Ok(executor.read(&format!("{NETWORK}.ema"), 0, layout().len).await?)
    }

    /// Makes the stores of the training plan.
    fn fill_stores(executor: &mut Executor, train: &Digits) -> Result<(), ExecError> {
        let store = |name: &str| format!("{NETWORK}.{name}");
        for name in ["param", "grad", "m", "v", "ema"] {
            executor.create_store(&store(name), store_len())?;
        }
        let first = layout().initial(SEED);
        executor.write(&store("param"), 0, &first)?;
        executor.write(&store("ema"), 0, &first)?;
        // 784 bytes of an image are 196 whole words.
        let words: Vec<u32> = train.images.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        executor.create_store(&store("images"), words.len())?;
        executor.write_words(&store("images"), 0, &words)?;
        let labels: Vec<f32> = train.labels.iter().map(|&label| label.into()).collect();
        executor.create_store(&store("labels"), labels.len())?;
        executor.write(&store("labels"), 0, &labels)?;
        executor.create_store(&store("stats"), 3 * STATS_ROWS)
    }

    /// Mean loss and accuracy of the latest [`STATS_ROWS`] steps.
    async fn latest(executor: &Executor) -> Result<[f64; 2], ExecError> {
        let rows = executor.read(&format!("{NETWORK}.stats"), 0, 3 * STATS_ROWS).await?;
        let mean = |column: usize| rows.iter().skip(column).step_by(3).map(|&x| f64::from(x)).sum::<f64>();
        Ok([mean(0), mean(1)].map(|sum| sum / STATS_ROWS as f64))
    }

    /// Prints what real images get: test images against training images, and training images against each other.
    async fn floors(executor: &mut Executor, lenet: &Lenet, train: &Digits, test: &Digits) -> Outcome<()> {
        let first = &train.images[..FLOOR_IMAGES * IMAGE];
        let next = &train.images[FLOOR_IMAGES * IMAGE..2 * FLOOR_IMAGES * IMAGE];
        let kinds = MetricKind::IMAGES;
        println!("test images against the first training images:");
        for metric in lenet.floor(executor, first, Some(&test.images), &kinds).await? {
            println!("  {metric}");
        }
        println!("the next training images against the first:");
        for metric in lenet.floor(executor, first, Some(next), &kinds).await? {
            println!("  {metric}");
        }
        println!("test images against all training images:");
        for metric in lenet.floor(executor, &train.images, Some(&test.images), &[MetricKind::FidLenet]).await? {
            println!("  {metric}");
        }
        println!("the first training images against each other, two random halves:");
        for metric in lenet.floor(executor, first, None, &kinds).await? {
            println!("  {metric}");
        }
        Ok(())
    }
}
