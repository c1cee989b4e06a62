//! onestep's presets in burn.
//!
//! `peer-burn oracle FOLDER BACKEND` compares outputs, losses, gradients and the optimizer with onestep's;
//! `peer-burn serve FOLDER PRESET BACKEND` measures when asked. Back ends: flex, and wgpu with the feature `wgpu`.

mod nets;
mod training;

use std::path::Path;
use std::process::ExitCode;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use peer_common::{Case, Comparison, Failure, GRADIENT, OUTPUT, WEIGHTS, answer};

use nets::{Head, Param, Params, column};
use training::{BINS, Drawn, Nets, Training};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["oracle", folder, backend] => oracle(Path::new(folder), backend),
        ["serve", folder, preset, backend] => serve(Path::new(folder), preset, backend),
        _ => {
            eprintln!("usage: peer-burn oracle FOLDER BACKEND | peer-burn serve FOLDER PRESET BACKEND");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn device(backend: &str) -> Result<Device, Failure> {
    match backend {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::webgpu(burn::tensor::DeviceKind::DefaultDevice)),
        _ => Err(format!("there is no back end `{backend}` in this build").into()),
    }
}

fn rank<const D: usize>(tensor: &peer_common::Tensor, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(tensor.values.clone(), tensor.shape.clone()), device)
}

fn params(case: &Case, prefix: &str, device: &Device) -> Params {
    let param = |tensor: &peer_common::Tensor| match tensor.shape.len() {
        1 => Param::One(rank(tensor, device)),
        2 => Param::Two(rank(tensor, device)),
        _ => Param::Four(rank(tensor, device)),
    };
    case.part(prefix).iter().map(|(name, tensor)| (name.clone(), param(tensor))).collect()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Failure> {
    tensor.into_data().try_to_vec().map_err(|error| format!("{error:?}").into())
}

fn of_param(param: Param) -> Result<Vec<f32>, Failure> {
    match param {
        Param::One(tensor) => numbers(tensor),
        Param::Two(tensor) => numbers(tensor),
        Param::Four(tensor) => numbers(tensor),
    }
}

fn oracle(folder: &Path, backend: &str) -> Result<(), Failure> {
    let device = device(backend)?;
    let mut comparison = Comparison::default();
    for name in ["mnist", "gaussians"] {
        compare(&Case::open(folder, name)?, &device, &mut comparison)?;
    }
    comparison.finish()
}

/// Rows of a case.
fn rows(case: &Case, key: &str, device: &Device) -> Result<Tensor<2>, Failure> {
    let tensor = case.get(key)?;
    let (b, width) = (tensor.shape[0], tensor.shape[1..].iter().product());
    Ok(rank::<1>(&peer_common::Tensor { shape: vec![b * width], values: tensor.values.clone() }, device)
        .reshape([b, width]))
}

fn compare(case: &Case, device: &Device, comparison: &mut Comparison) -> Result<(), Failure> {
    let nets = Nets { config: &case.network, device, sigma_init: case.number("sigma_init") };
    let [generator, ratio] = ["generator", "ratio"].map(|name| params(case, &format!("weights.{name}."), device));
    let sample =
        nets.net(Head::Denoise, &generator, false).generate(rows(case, "sample.latent", device)?, nets.sigma_init);
    comparison.check("outputs", "sample", &numbers(sample)?, case.get("sample.sample")?, OUTPUT);
    for update in ["warmup", "ratio", "generator"].into_iter().filter(|update| case.has(update)) {
        let row = |key: &str| rows(case, &format!("{update}.{key}"), device);
        let vector = |key: &str| Ok::<_, Failure>(rank::<1>(case.get(&format!("{update}.{key}"))?, device));
        let drawn = Drawn {
            real: row("real")?,
            latent: row("latent")?,
            sigma: vector("sigma")?,
            u: vector("u")?,
            noise_real: row("noise_real")?,
            noise_fake: row("noise_fake")?,
        };
        let x_t = drawn.real.clone() + column(drawn.sigma.clone()) * drawn.noise_real.clone();
        let denoised = nets.net(Head::Denoise, &generator, false).denoise(x_t.clone(), drawn.sigma.clone());
        let logit = nets.net(Head::Logit, &ratio, false).logit(x_t, drawn.sigma.clone());
        let mut outputs = vec![("denoised", numbers(denoised)?), ("logit", numbers(logit)?)];
        let (loss, gradients) = match update {
            "warmup" => nets.warmup(&generator, drawn),
            "ratio" => {
                let accuracy = vector("accuracy")?.reshape([BINS, 1]);
                let (loss, gradients, accuracy) = nets.ratio(&ratio, &generator, drawn, accuracy);
                outputs.push(("accuracy_after", numbers(accuracy)?));
                (loss, gradients)
            }
            _ => {
                let [squares, accuracy] = [vector("squares")?, vector("accuracy")?].map(|x| x.reshape([BINS, 1]));
                let (loss, gradients, squares) = nets.generator(&generator, &ratio, drawn, squares, accuracy);
                outputs.push(("squares_after", numbers(squares)?));
                (loss, gradients)
            }
        };
        outputs.push(("loss", numbers(loss)?));
        for (name, values) in outputs {
            let (kind, key) = (if name == "loss" { "losses" } else { "outputs" }, format!("{update}.{name}"));
            comparison.check(kind, &key, &values, case.get(&key)?, OUTPUT);
        }
        for (name, gradient) in gradients {
            let key = format!("{update}.grad.{name}");
            comparison.check("gradients", &key, &of_param(gradient)?, case.get(&key)?, GRADIENT);
        }
        let mut weights = if update == "ratio" { ratio.clone() } else { generator.clone() };
        let mut training = Training::new(case.rates(update), case.number("clip"), case.number("ema"));
        training.step(&mut weights, params(case, &format!("{update}.grad."), device));
        for (name, weight) in weights {
            let key = format!("{update}.after.{name}");
            comparison.check("weights", &key, &of_param(weight)?, case.get(&key)?, WEIGHTS);
        }
    }
    Ok(())
}

/// A run of a preset, as a person would write it in burn.
struct Run<'a> {
    case: &'a Case,
    nets: Nets<'a>,
    generator: Params,
    ratio: Params,
    squares: Tensor<2>,
    accuracy: Tensor<2>,
    data: Tensor<2>,
    training: [(&'static str, Training); 3],
}

impl Run<'_> {
    fn draw(&self, warms_up: bool) -> Drawn {
        let (batch, device) = (self.case.number("batch") as usize, self.nets.device);
        let [count, width] = self.data.dims();
        let uniform = || Tensor::<1>::random([batch], Distribution::Uniform(0.0, 1.0), device);
        let normal = || Tensor::<2>::random([batch, width], Distribution::Normal(0.0, 1.0), device);
        let real = self.data.clone().select(0, (uniform() * count as f64).floor().int());
        let u = (Tensor::arange(0..batch as i64, device).float() + uniform()) / batch as f64;
        let [low, high] =
            if warms_up { [0.02, 80.0] } else { ["sigma_min", "sigma_max"].map(|key| self.case.number(key)) };
        let sigma = (u.clone() * (high / low).ln() + low.ln()).exp();
        let sigma = if warms_up {
            let levels = Tensor::<1>::random([batch], Distribution::Normal(-1.2, 1.2), device).exp();
            sigma.mask_where(uniform().lower_scalar(0.5), levels)
        } else {
            sigma
        };
        Drawn { real, latent: normal(), sigma, u, noise_real: normal(), noise_fake: normal() }
    }

    fn update(&mut self, name: &str) {
        let drawn = self.draw(name == "warmup");
        let (params, gradients) = match name {
            "warmup" => {
                let (_, gradients) = self.nets.warmup(&self.generator, drawn);
                (&mut self.generator, gradients)
            }
            "ratio" => {
                let (_, gradients, accuracy) =
                    self.nets.ratio(&self.ratio, &self.generator, drawn, self.accuracy.clone());
                self.accuracy = accuracy;
                (&mut self.ratio, gradients)
            }
            _ => {
                let (squares, accuracy) = (self.squares.clone(), self.accuracy.clone());
                let (_, gradients, squares) =
                    self.nets.generator(&self.generator, &self.ratio, drawn, squares, accuracy);
                self.squares = squares;
                (&mut self.generator, gradients)
            }
        };
        let training = self.training.iter_mut().find(|(update, _)| *update == name);
        training.expect("there is one for each update").1.step(params, gradients);
    }
}

fn serve(folder: &Path, preset: &str, backend: &str) -> Result<(), Failure> {
    let (case, device) = (Case::open(folder, preset)?, device(backend)?);
    let width: usize = case.get("sample.latent")?.shape[1..].iter().product();
    let [generator, ratio] = ["generator", "ratio"].map(|name| params(&case, &format!("weights.{name}."), &device));
    let training = |update| (update, Training::new(case.rates(update), case.number("clip"), case.number("ema")));
    let mut run = Run {
        case: &case,
        nets: Nets { config: &case.network, device: &device, sigma_init: case.number("sigma_init") },
        generator,
        ratio,
        squares: Tensor::zeros([BINS, 1], &device),
        accuracy: Tensor::zeros([BINS, 1], &device),
        // Numbers of the shape of the data: no time depends on what they are.
        data: Tensor::random([10_000, width], Distribution::Uniform(-1.0, 1.0), &device),
        training: ["warmup", "ratio", "generator"].map(training),
    };
    answer(&format!("burn 0.22.1, {backend}"), |work| {
        match work {
            "warmup" => run.update("warmup"),
            "iteration" => {
                (0..case.number("critic_steps") as u32).for_each(|_| run.update("ratio"));
                run.update("generator");
            }
            _ => return Err(format!("`{work}` is no work that is known here").into()),
        }
        device.sync().map_err(|error| format!("{error:?}").into())
    })
}
