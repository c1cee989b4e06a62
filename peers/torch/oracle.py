"""Compares PyTorch with onestep: outputs, losses, every gradient by name, the optimizer.

    python oracle.py FOLDER [mnist|gaussians ...]

Exit code 1 if anything differs by more than its tolerance, relative to the largest number of its tensor.
"""

import sys

import torch

import training
from case import Case
from networks import denoise, generate, logit, per_sample

# Two orders of the same sums of f32.
OUTPUT = 2e-5
GRADIENT = 2e-4
# The optimizer is given onestep's own gradients.
WEIGHTS = 1e-5


class Comparison:
    def __init__(self):
        self.worst, self.failures, self.count = {}, [], 0

    def check(self, kind, name, got, wanted, tolerance):
        assert got.shape == wanted.shape, f"{name}: {tuple(got.shape)} beside {tuple(wanted.shape)}"
        error = ((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30)).item()
        self.count += 1
        self.worst[kind] = max(self.worst.get(kind, (0.0, "")), (error, name))
        if not error <= tolerance:  # refuses NaN
            self.failures.append(f"{name}: off by {error:.1e} of its largest number, tolerance {tolerance:.0e}")


def compare(case, comparison):
    settings = case.settings
    sample = generate(case.net("generator"), case["sample.latent"], settings["sigma_init"])
    comparison.check("outputs", "sample", sample.detach(), case["sample.sample"], OUTPUT)
    for update in [u for u in ("warmup", "ratio", "generator") if f"{u}.loss" in case.tensors]:
        nets = {name: case.net(name) for name in ("generator", "ratio")}
        drawn = training.Drawn(**{key: case[f"{update}.{key}"] for key in training.Drawn.__dataclass_fields__})
        with torch.no_grad():
            x_t = drawn.real + per_sample(drawn.sigma, drawn.real) * drawn.noise_real
            outputs = {"denoised": denoise(nets["generator"], x_t, drawn.sigma), "logit": logit(nets["ratio"], x_t, drawn.sigma)}
        trained = nets["ratio" if update == "ratio" else "generator"]
        if update == "warmup":
            loss = training.warmup(trained, drawn)
        elif update == "ratio":
            accuracy = case["ratio.accuracy"].clone()
            loss = training.ratio(trained, nets["generator"], drawn, settings["sigma_init"], accuracy)
            outputs["accuracy_after"] = accuracy
        else:
            squares, accuracy = case["generator.squares"].clone(), case["generator.accuracy"]
            loss = training.generator(trained, nets["ratio"], drawn, settings["sigma_init"], squares, accuracy)
            outputs["squares_after"] = squares
        for name, output in {**outputs, "loss": loss.reshape(1)}.items():
            kind = "losses" if name == "loss" else "outputs"
            comparison.check(kind, f"{update}.{name}", output, case[f"{update}.{name}"], OUTPUT)
        gradients = case.part(f"{update}.grad.")
        assert gradients.keys() == dict(trained.named_parameters()).keys(), "parameters of other names"
        for name, parameter in trained.named_parameters():
            comparison.check("gradients", f"{update}.grad.{name}", parameter.grad, gradients[name], GRADIENT)
            parameter.grad = gradients[name].clone()
        training.Optimizer(trained, case.rate(update), case.betas(update), settings["clip"], settings["ema"]).step()
        for name, parameter in trained.named_parameters():
            key = f"{update}.after.{name}"
            comparison.check("weights", key, parameter.detach(), case[key], WEIGHTS)


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    comparison = Comparison()
    for name in sys.argv[2:] or ["mnist", "gaussians"]:
        compare(Case(sys.argv[1], name), comparison)
    for kind, (error, name) in comparison.worst.items():
        print(f"{kind}: off by at most {error:.1e} ({name})")
    for failure in comparison.failures:
        print(f"FAILED {failure}")
    print(f"{comparison.count - len(comparison.failures)} tensors agree, {len(comparison.failures)} differ")
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
