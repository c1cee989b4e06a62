"""The updates of onestep's DiffRatio in PyTorch: warm-up, ratio network, generator; each leaves gradients in `.grad`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from networks import denoise, generate, logit, per_sample

BINS = 16
BIN_RATE = 0.05


@dataclass
class Drawn:
    """What an update draws; `u` are the numbers in 0 to 1 behind the noise levels."""

    real: torch.Tensor
    latent: torch.Tensor
    sigma: torch.Tensor
    u: torch.Tensor
    noise_real: torch.Tensor
    noise_fake: torch.Tensor


def warmup(net, drawn):
    sigma, real = drawn.sigma, drawn.real
    denoised = denoise(net, real + per_sample(sigma, real) * drawn.noise_real, sigma)
    weight = (sigma.square() + 0.25) / (0.5 * sigma).square()
    loss = (per_sample(weight, real) * (denoised - real).square()).mean()
    loss.backward()
    return loss.detach()


def is_images(samples):
    return samples.dim() == 4


def seen(samples):
    """Images have no numbers beyond -1 and 1."""
    return samples.clamp(-1, 1) if is_images(samples) else samples


def ratio(net, generator, drawn, sigma_init, accuracy):
    """Updates `accuracy`, the running mean by noise level of how often data and samples are told apart."""
    with torch.no_grad():
        fake = generate(generator, drawn.latent, sigma_init)
        s = per_sample(drawn.sigma, fake)
        both = torch.cat([drawn.real + s * drawn.noise_real, seen(fake) + s * drawn.noise_fake])
    on_real, on_fake = logit(net, both, drawn.sigma.repeat(2)).chunk(2)
    with torch.no_grad():
        running_mean(accuracy, ((on_real > 0).float() + (on_fake < 0).float()) / 2, drawn.u)
    loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
    loss.backward()
    return loss.detach()


def generator(net, ratio_net, drawn, sigma_init, squares, accuracy):
    """With the divergence reverse-kl. Updates `squares`, the running mean squares of the pull by noise level."""
    fake = generate(net, drawn.latent, sigma_init)
    x = fake.detach().requires_grad_()
    l = logit(ratio_net, seen(x) + per_sample(drawn.sigma, x) * drawn.noise_fake, drawn.sigma)
    (d_x,) = torch.autograd.grad(-l.sum(), x)
    with torch.no_grad():
        d_x = d_x * per_sample(drawn.sigma.square(), d_x)
        own = running_mean(squares, d_x.square().flatten(1).mean(1), drawn.u)
        d_x = d_x / per_sample((own + 1e-12).sqrt(), d_x)
        if is_images(fake):
            d_x = d_x * per_sample((2 * accuracy - 1).clamp(min=0)[bins(drawn.u)], d_x)
        d_x = d_x / (d_x.shape[0] * d_x[0].numel() ** 0.5)
    fake.backward(d_x)
    return -l.detach().mean()


def bins(u):
    return (u * BINS).long().clamp(max=BINS - 1)


def running_mean(means, values, u):
    """Updates the mean per bin, in which a bin that is still 0 takes the first mean; gives each value that of its bin."""
    own = bins(u)
    count = torch.zeros(BINS).index_add(0, own, torch.ones_like(u))
    new = torch.zeros(BINS).index_add(0, own, values) / count.clamp(min=1)
    rate = torch.where(means == 0, 1.0, BIN_RATE) * (count > 0)
    means += rate * (new - means)
    return means[own]


class Optimizer:
    """Adam with clipping by the global norm, and a moving average of the weights."""

    def __init__(self, net, lr, betas, clip, ema):
        self.params = list(net.parameters())
        self.adam = torch.optim.Adam(self.params, lr=lr, betas=betas, eps=1e-8, fused=True)
        self.clip, self.ema, self.t = clip, ema, 0
        self.average = [p.detach().clone() for p in self.params]

    def step(self):
        self.t += 1
        if self.clip > 0:
            torch.nn.utils.clip_grad_norm_(self.params, self.clip)
        self.adam.step()
        self.adam.zero_grad(set_to_none=False)
        decay = min(self.ema, self.t / (self.t + 9))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.params], 1 - decay)
