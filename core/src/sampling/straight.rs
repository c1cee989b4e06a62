//! How straight a model's paths are.

use super::{Generator, SamplingError, Walk, all_finite};
use crate::eval::straightness::straightness as of_paths;
use crate::exec::Executor;
use crate::model::ModelFile;
use crate::nets::Draw;

/// Steps of Euler's method along a path.
const STEPS: usize = 64;

/// The [straightness](of_paths) of a denoiser's own paths from the first of these latents `[n, ..]`, as many as it
/// usually draws at once, of these classes in turn: 0 where one step of Euler's method is exact.
pub async fn straightness(
    executor: &mut Executor,
    model: &ModelFile,
    latents: &[f32],
    classes: &[u32],
) -> Result<f64, SamplingError> {
    let mut model = model.clone();
    let draw = Draw::euler(STEPS, model.meta.sigma_init);
    let sigmas: Vec<f32> = draw.sigmas.iter().copied().chain([0.0]).collect();
    model.meta.draw = Some(draw);
    let width: usize = model.meta.data_shape.iter().product();
    let rows = (latents.len() / width).min(Generator::usual_batch(&model.meta));
    let latents = &latents[..rows * width];
    let mut walk = Walk::of_model(executor, &model, rows)?;
    if model.meta.network.classes() > 0 {
        walk.say(executor, classes)?;
    }
    walk.start(executor, latents)?;
    let mut states = vec![latents.iter().map(|z| z * sigmas[0]).collect::<Vec<f32>>()];
    while let Some(state) = walk.advance(executor).await? {
        all_finite(&state, width)?;
        states.push(state);
    }
    Ok(of_paths(&states, &sigmas, width).expect("finite states, one per level"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::model::{ModelKind, ModelMeta};
    use crate::nets::{MlpConfig, NetworkConfig, SIGMA_DATA, latent};

    /// A network whose last layer is zero says `D = c_skip x`, the denoiser of Gaussian data of deviation `sd`: a path is
    /// a number at each level times its latent. In the limit of many steps, S is `2 sd (2 - pi / 2)` in the plane.
    #[test]
    fn of_an_untrained_denoiser_it_is_that_of_a_gaussian() {
        let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 3, two_times: false });
        let layout = network.generator_layout();
        let meta = ModelMeta { sigma_init: 1000.0, ..ModelMeta::new(ModelKind::Denoiser, network) };
        let model = ModelFile::new(meta, &layout, &layout.initial(1));
        let latents: Vec<f32> = (0..5000).flat_map(|seed| latent(seed, 2)).collect();
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let got = pollster::block_on(straightness(&mut executor, &model, &latents, &[0, 1, 2])).unwrap();
        let sigmas: Vec<f32> = Draw::euler(STEPS, 1000.0).sigmas.into_iter().chain([0.0]).collect();
        let mut path = vec![vec![sigmas[0]]];
        for pair in sigmas.windows(2) {
            let (x, skip) = (path[path.len() - 1][0], SIGMA_DATA.powi(2) / (SIGMA_DATA.powi(2) + pair[0].powi(2)));
            path.push(vec![x * (skip + pair[1] / pair[0] * (1.0 - skip))]);
        }
        let drawn = &latents[..2 * Generator::usual_batch(&model.meta)];
        let square = drawn.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / drawn.len() as f64;
        let wanted = 2.0 * square * of_paths(&path, &sigmas, 1).unwrap();
        assert!((got / wanted - 1.0).abs() < 1e-3, "{got}, of these paths {wanted}");
        let limit = 2.0 * f64::from(SIGMA_DATA) * (2.0 - std::f64::consts::FRAC_PI_2);
        assert!((got / limit - 1.0).abs() < 0.1, "{got}, in the limit {limit}");
    }
}
