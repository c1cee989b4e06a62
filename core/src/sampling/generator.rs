//! A generator on a device: latents in, samples out, as its file says they are drawn.

use super::canary::Witness;
use super::{SamplingError, Walk, all_finite, check_classes, class_numbers, put_weights};
use crate::exec::Executor;
use crate::model::{ModelFile, ModelMeta};
use crate::nets::{Rule, latent};
use crate::plan::SLOT_ALIGN;

/// Images per run of the network: enough to fill small devices.
const IMAGES: usize = 64;
/// The same for networks of more than [`LARGE`] parameters, whose images take long on a processor.
const IMAGES_LARGE: usize = 8;
/// Parameters of a large network.
const LARGE: usize = 10_000_000;
/// Points per run of the network.
const POINTS: usize = 4096;

/// Prefix of the sampler's stores.
const PREFIX: &str = "sample";
const PARAMETERS: &str = "sample.param";
const SAMPLES: &str = "sample.sample";
/// The class of each row, for a conditional model.
const CLASSES: &str = "sample.class";

/// A generator on a device.
pub struct Generator {
    meta: ModelMeta,
    /// Numbers per sample.
    width: usize,
    /// Batch sizes, ascending, with the plans of each that has been prepared.
    batches: Vec<(usize, Option<Walk>)>,
    /// Checks the first sample of each batch size, and which of them it has seen.
    witness: Option<(Box<Witness>, Vec<usize>)>,
}

impl Generator {
    /// Puts a generator on a device. It runs in batches of these sizes (ascending, at least one),
    /// the smallest that holds what is asked for; plans are prepared when they are first needed.
    pub fn new(executor: &mut Executor, model: &ModelFile, batches: &[usize]) -> Result<Self, SamplingError> {
        put_weights(executor, PARAMETERS, model)?;
        let meta = model.meta.clone();
        let width: usize = meta.data_shape.iter().product();
        let rows = batches.last().copied().expect("callers name at least one batch size");
        let draw = meta.draw();
        let noise = draw.rule == Rule::Jump && draw.sigmas.len() > 1;
        for store in ["latent", "sample", "noise"].into_iter().take(if noise { 3 } else { 2 }) {
            executor.create_store(&format!("{PREFIX}.{store}"), (rows * width).next_multiple_of(SLOT_ALIGN))?;
        }
        if meta.network.classes() > 0 {
            executor.create_store(CLASSES, rows.next_multiple_of(SLOT_ALIGN))?;
        }
        Ok(Self { meta, width, batches: batches.iter().map(|rows| (*rows, None)).collect(), witness: None })
    }

    /// The same, for a device that may compute nonsense: the first sample of each plan is compared with the
    /// processor's.
    pub fn with_witness(mut self, model: &ModelFile) -> Result<Self, SamplingError> {
        self.witness = Some((Box::new(Witness::new(model)?), Vec::new()));
        Ok(self)
    }

    /// The batch size for drawing many samples of this model.
    pub fn usual_batch(meta: &ModelMeta) -> usize {
        match &meta.data_shape[..] {
            [_, _, _] if meta.network.generator_layout().parameters() > LARGE => IMAGES_LARGE,
            [_, _, _] => IMAGES,
            _ => POINTS,
        }
    }

    /// What the model says about itself.
    pub fn meta(&self) -> &ModelMeta {
        &self.meta
    }

    /// Samples per run of the network, at most.
    pub fn rows(&self) -> usize {
        self.batches[self.batches.len() - 1].0
    }

    /// Numbers per sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Makes the plans that will draw `count` samples at a time: what the first draw would wait for.
    pub fn prepare(&mut self, executor: &mut Executor, count: usize) -> Result<(), SamplingError> {
        let at = self.batch(count);
        let (rows, walk) = &mut self.batches[at];
        if walk.is_none() {
            let (network, draw) = (&self.meta.network, self.meta.draw());
            *walk = Some(Walk::new(executor, network, draw, PREFIX, PARAMETERS, *rows)?);
        }
        Ok(())
    }

    /// Which batch size draws `count` samples.
    fn batch(&self, count: usize) -> usize {
        self.batches.iter().position(|(rows, _)| *rows >= count).unwrap_or(self.batches.len() - 1)
    }

    /// The samples of latents `[n, ..]`, any number of them, one after the other; of the first class, if the model has
    /// classes.
    pub async fn draw(&mut self, executor: &mut Executor, latents: &[f32]) -> Result<Vec<f32>, SamplingError> {
        self.draw_classes(executor, latents, &[]).await
    }

    /// The samples of latents `[n, ..]` of these classes, in turn; none: the first class. A model without classes
    /// takes none.
    pub async fn draw_classes(
        &mut self,
        executor: &mut Executor,
        latents: &[f32],
        classes: &[u32],
    ) -> Result<Vec<f32>, SamplingError> {
        check_classes(&self.meta, classes)?;
        let mut classes = class_numbers(classes, latents.len() / self.width).into_iter();
        assert!(latents.len().is_multiple_of(self.width), "latents are rows of {} numbers", self.width);
        let mut samples = Vec::with_capacity(latents.len());
        for latents in latents.chunks(self.rows() * self.width) {
            let count = latents.len() / self.width;
            let classes: Vec<f32> = classes.by_ref().take(count).collect();
            let drawn = self.run(executor, latents, &classes).await?;
            let batch = self.batch(count);
            if let Some((witness, seen)) = &mut self.witness
                && !seen.contains(&batch)
            {
                let checked = witness.check(&latents[..self.width], &classes[..1], &drawn[..self.width]).await;
                seen.push(batch);
                if checked.is_err() {
                    // Of a kernel that does not compile, a browser tells late: this run hears of it.
                    self.run(executor, latents, &classes).await?;
                }
                checked?;
            }
            all_finite(&drawn, self.width)?;
            samples.extend(drawn);
        }
        Ok(samples)
    }

    /// The samples of at most as many latents as the largest batch has rows.
    pub(super) async fn run(
        &mut self,
        executor: &mut Executor,
        latents: &[f32],
        classes: &[f32],
    ) -> Result<Vec<f32>, SamplingError> {
        let count = latents.len() / self.width;
        self.prepare(executor, count)?;
        if self.meta.network.classes() > 0 {
            executor.write(CLASSES, 0, classes)?;
        }
        let (_, walk) = &self.batches[self.batch(count)];
        walk.as_ref().expect("it was prepared").draw(executor, latents)?;
        Ok(executor.read(SAMPLES, 0, latents.len()).await?)
    }

    /// The samples of seeds: each depends on its seed alone. With K classes, that of seed s is of class s mod K.
    pub async fn draw_seeds(&mut self, executor: &mut Executor, seeds: &[u32]) -> Result<Vec<f32>, SamplingError> {
        let classes = self.meta.network.classes_of(seeds);
        self.draw_seeds_of(executor, seeds, &classes).await
    }

    /// The samples of seeds, of these classes in turn (none: the first class): each depends on its seed and its class
    /// alone.
    pub async fn draw_seeds_of(
        &mut self,
        executor: &mut Executor,
        seeds: &[u32],
        classes: &[u32],
    ) -> Result<Vec<f32>, SamplingError> {
        let mut samples = Vec::with_capacity(seeds.len() * self.width);
        let mut at = 0;
        for seeds in seeds.chunks(self.rows()) {
            let latents: Vec<f32> = seeds.iter().flat_map(|seed| latent(*seed, self.width)).collect();
            let turn: Vec<u32> =
                classes.iter().cycle().skip(at % classes.len().max(1)).take(seeds.len()).copied().collect();
            samples.extend(self.draw_classes(executor, &latents, &turn).await?);
            at += seeds.len();
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::model::ModelKind;
    use crate::nets::{MlpConfig, NetworkConfig};
    use crate::sampling::{Choice, Chooser, Verifier};

    fn model(kind: ModelKind, label_dim: usize) -> ModelFile {
        let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 2, label_dim, two_times: false });
        let layout = if kind == ModelKind::Ratio { network.ratio_layout() } else { network.generator_layout() };
        let weights: Vec<f32> =
            layout.initial(1).iter().enumerate().map(|(i, w)| w + 0.1 * (i as f32 * 0.7).sin()).collect();
        ModelFile::new(ModelMeta { sigma_init: 1.0, ..ModelMeta::new(kind, network) }, &layout, &weights)
    }

    #[test]
    fn a_sample_depends_on_its_seed_and_class_alone() {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let model = model(ModelKind::Generator, 3);
        let generator = Generator::new(&mut executor, &model, &[4]).unwrap();
        let mut generator = generator.with_witness(&model).unwrap();
        let mut draw =
            |seeds: &[u32], classes: &[u32]| pollster::block_on(generator.draw_seeds_of(&mut executor, seeds, classes));
        // Two runs of the plan; the classes go on from one to the other.
        let all = draw(&[5, 6, 7, 8, 9, 10], &[2, 0, 1, 1, 0]).unwrap();
        for (row, (seed, class)) in [(5, 2), (6, 0), (7, 1), (8, 1), (9, 0), (10, 2)].into_iter().enumerate() {
            assert_eq!(draw(&[seed], &[class]).unwrap(), all[2 * row..2 * row + 2], "seed {seed} of class {class}");
        }
        let [zero, one] = [0, 1].map(|class| draw(&[5], &[class]).unwrap());
        assert!((zero[0] - one[0]).abs() > 1e-3, "classes that draw the same prove nothing");
        let error = draw(&[5], &[3]).unwrap_err().to_string();
        assert_eq!(error, "class 3: this model has the classes 0 to 2");
        let seeds = pollster::block_on(generator.draw_seeds(&mut executor, &[5, 9])).unwrap();
        assert_eq!(seeds[..2], all[..2], "seed 5 is of class 5 mod 3");
        assert_eq!(seeds[2..], all[8..10]);
    }

    #[test]
    fn candidates_and_their_judge_are_of_the_class_of_their_seed() {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let mut generator = Generator::new(&mut executor, &model(ModelKind::Generator, 3), &[4]).unwrap();
        let verifier = Verifier::new(&mut executor, &model(ModelKind::Ratio, 3), 4).unwrap();
        let (choice, candidates, batch) = (Choice::Best, 3, 4);
        let mut best = Chooser { generator: &mut generator, verifier: &verifier, candidates, choice, batch };
        let kept = pollster::block_on(best.draw(&mut executor, &[1, 2], &[2, 1], &|_| ())).unwrap();
        for (row, (seed, class)) in [(1_u32, 2), (2, 1)].into_iter().enumerate() {
            let seeds = [3 * seed, 3 * seed + 1, 3 * seed + 2];
            let drawn = pollster::block_on(generator.draw_seeds_of(&mut executor, &seeds, &[class])).unwrap();
            let scores = pollster::block_on(verifier.scores_of(&mut executor, &drawn, &[class])).unwrap();
            let others = pollster::block_on(verifier.scores_of(&mut executor, &drawn, &[0])).unwrap();
            assert!(scores.iter().zip(&others).all(|(a, b)| (a - b).abs() > 1e-4), "the judge hears the class");
            let top = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
            assert_eq!(kept.samples[2 * row..2 * row + 2], drawn[2 * top..2 * top + 2]);
        }
    }

    #[test]
    fn a_model_without_classes_takes_none() {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let mut generator = Generator::new(&mut executor, &model(ModelKind::Generator, 0), &[4]).unwrap();
        let drawn = pollster::block_on(generator.draw_seeds_of(&mut executor, &[5], &[0]));
        assert_eq!(drawn.unwrap_err().to_string(), "class 0: this model has no classes");
        assert_eq!(pollster::block_on(generator.draw_seeds(&mut executor, &[5])).unwrap().len(), 2);
    }
}
