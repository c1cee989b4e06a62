//! One model of two: their weights, interpolated.

use super::{ModelError, ModelFile, ModelKind, ModelProblem};

/// The model whose weights are `(1 - share) first + share second`, number by number; what it says of itself is what the
/// first does. Both must be of one kind, network and data, and be drawn from alike: between networks that were not tuned
/// from one, the weights of the one mean nothing to the other, which nobody can see from outside.
pub fn merge(first: &ModelFile, second: &ModelFile, share: f32) -> Result<ModelFile, ModelError> {
    let (a, b) = (&first.meta, &second.meta);
    let alike = |what: &'static str, wanted: String, got: String| {
        if wanted == got {
            return Ok(());
        }
        let wanted = format!("{wanted} as in {}", first.name);
        Err(ModelProblem::Unlike { what, wanted, got }.in_file(&second.name))
    };
    alike("kind", a.kind.to_string(), b.kind.to_string())?;
    if a.kind == ModelKind::State {
        return Err(ModelProblem::NoModel.in_file(&first.name));
    }
    alike("data", a.dataset.clone(), b.dataset.clone())?;
    // Of points it is what pictures show, and older files of a person's own points say less.
    if a.data_shape.len() > 1 {
        alike("range of data", format!("{:?}", a.data_range), format!("{:?}", b.data_range))?;
    }
    alike("network", format!("{:?}", a.network), format!("{:?}", b.network))?;
    alike("noise level", a.sigma_init.to_string(), b.sigma_init.to_string())?;
    alike("way to draw", format!("{:?}", a.draw()), format!("{:?}", b.draw()))?;
    // The same network: the same tensors.
    first.own_parameters()?;
    second.own_parameters()?;
    let mut merged = ModelFile { name: "merged model".into(), ..first.clone() };
    merged.meta.step = a.step.max(b.step);
    if a.license != b.license {
        merged.meta.license = format!("{}; {}", a.license, b.license);
    }
    for ((_, tensor), other) in merged.tensors.iter_mut().zip(second.tensors.values()) {
        for (x, y) in tensor.values.iter_mut().zip(&other.values) {
            *x = (1.0 - share) * *x + share * y;
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelMeta;
    use crate::nets::{Draw, MlpConfig, NetworkConfig};

    fn model(change: impl FnOnce(&mut ModelMeta), weight: f32) -> ModelFile {
        let config = MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 0, two_times: false };
        let mut meta = ModelMeta::new(ModelKind::Generator, NetworkConfig::Mlp(config));
        meta.dataset = "two-moons".into();
        change(&mut meta);
        let layout = meta.network.generator_layout();
        let weights: Vec<f32> = (0..layout.len).map(|i| weight * (i as f32 * 0.7).sin()).collect();
        ModelFile::new(meta, &layout, &weights)
    }

    #[test]
    fn weights_lie_on_the_line_between_both() {
        let (a, b) = (model(|_| (), 1.0), model(|meta| meta.step = 9, -3.0));
        let weights = |model: &ModelFile| model.own_parameters().unwrap();
        for share in [0.0, 0.25, 1.0] {
            let merged = merge(&a, &b, share).unwrap();
            assert_eq!(merged.meta, ModelMeta { step: 9, ..a.meta.clone() });
            let both = weights(&a).into_iter().zip(weights(&b));
            let wanted: Vec<f32> = both.map(|(a, b)| a + share * (b - a)).collect();
            let error = weights(&merged).iter().zip(&wanted).fold(0.0_f32, |most, (x, y)| most.max((x - y).abs()));
            assert!(error <= 1e-6, "{share}: off by {error}");
        }
    }

    #[test]
    fn models_that_differ_in_more_than_weights_are_refused_by_what_they_differ_in() {
        let a = model(|_| (), 1.0);
        let refused = |change: fn(&mut ModelMeta)| merge(&a, &model(change, 1.0), 0.5).unwrap_err().to_string();
        for (change, words) in [
            ((|meta| meta.kind = ModelKind::Denoiser) as fn(&mut ModelMeta), ["kind", "denoiser", "generator"]),
            (|meta| meta.dataset = "rings".into(), ["data", "rings", "two-moons"]),
            (|meta| meta.sigma_init = 2.5, ["noise level", "2.5", "80"]),
            (|meta| meta.draw = Some(Draw::jumps(2, 80.0)), ["way to draw", "sigmas", "Jump"]),
            (
                |meta| {
                    let NetworkConfig::Mlp(config) = &mut meta.network else { unreachable!("see above") };
                    config.width = 8;
                },
                ["network", "width: 8", "width: 16"],
            ),
        ] {
            let text = refused(change);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        let state = model(|meta| meta.kind = ModelKind::State, 1.0);
        assert!(merge(&state, &state, 0.5).unwrap_err().to_string().contains("state of a run"));
    }
}
