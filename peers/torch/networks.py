"""The networks of onestep's presets, with the parameter names of its files.

Images are [B, C, H, W] here. Networks with attention, classes or adaptive scale are refused: the presets `mnist` and
`gaussians` have none.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

SIGMA_DATA = 0.5


def build(config, head):
    """The network F of a configuration: head "denoise" for the generator, "logit" for the ratio network."""
    for key in ("attn_resolutions", "attn_middle", "label_dim", "adaptive_scale", "two_times"):
        if config.get(key):
            raise SystemExit(f"error: {key} = {config[key]}: peers know only networks without it; use mnist or gaussians")
    return {"mlp": Mlp, "unet": Unet}[config["type"]](config, head)


def waves(x, count, first, last):
    """Sines, then cosines of `x [N]` at frequencies that are even in the logarithm: [N, 2 count]."""
    exponents = torch.arange(count, device=x.device) * (math.log(last / first) / (count - 1))
    angles = x[:, None] * (first * exponents.exp())
    return torch.cat([angles.sin(), angles.cos()], 1)


class Mlp(nn.Module):
    """For points."""

    def __init__(self, config, head):
        super().__init__()
        dim, width = config["dim"], config["width"]
        self.count, self.finest = (8, 128.0) if head == "denoise" else (5, 16.0)
        self.denoises = head == "denoise"
        self.map_layer0 = nn.Linear(32, width)
        self.input = nn.Linear(dim * (1 + 2 * self.count), width)
        block = lambda: nn.ModuleDict({"affine": nn.Linear(width, width), "linear": nn.Linear(width, width)})
        self.blocks = nn.ModuleList(block() for _ in range(config["depth"]))
        self.output = nn.Linear(width, dim if head == "denoise" else 1)

    def forward(self, x, noise):
        embedding = F.silu(self.map_layer0(waves(noise, 16, 0.5, 16.0)))
        features = waves(x.reshape(-1), self.count, 1.0, self.finest).reshape(x.shape[0], -1)
        h = self.input(torch.cat([x, features], 1))
        for block in self.blocks:
            h = h + block["linear"](F.silu(h + block["affine"](embedding)))
        y = self.output(F.silu(h))
        return y if self.denoises else y[:, 0]


def norm(channels):
    groups = next(g for g in range(min(max(channels // 4, 1), 32), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Block(nn.Module):
    """Twice norm, activation and convolution, and a way around; `resample` is "keep", "down" or "up"."""

    def __init__(self, c_in, c_out, embedding, resample):
        super().__init__()
        self.resample = resample
        self.norm0, self.conv0 = norm(c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.affine = nn.Linear(embedding, c_out)
        self.norm1, self.conv1 = norm(c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.skip = nn.Conv2d(c_in, c_out, 1) if resample != "keep" or c_in != c_out else nn.Identity()

    def resize(self, x):
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2, mode="nearest") if self.resample == "up" else x

    def forward(self, x, embedding):
        h = self.conv0(self.resize(F.silu(self.norm0(x))))
        h = h + self.affine(embedding)[:, :, None, None]
        h = self.conv1(F.silu(self.norm1(h)))
        # A 1 x 1 convolution and nearest-neighbour upsampling commute: the cheaper goes first.
        skip = self.resize(self.skip(x)) if self.resample == "up" else self.skip(self.resize(x))
        return (h + skip) * math.sqrt(0.5)


class Unet(nn.Module):
    """For images: the whole network, or its encoder with a linear head."""

    def __init__(self, config, head):
        super().__init__()
        self.denoises, self.patch, self.width = head == "denoise", config["patch"], config["model_channels"]
        sides = [config["resolution"], config.get("width") or config["resolution"]]
        mults, blocks = config["channel_mult"], config["num_blocks"]
        width, pixel, wide = self.width, config["channels"] * self.patch**2, self.width * config["channel_mult_emb"]
        at = lambda level: [(side // self.patch) >> level for side in sides]
        size = lambda level: "x".join(map(str, at(level)))
        self.map_layer0, self.map_layer1 = nn.Linear(width, wide), nn.Linear(wide, wide)
        c, skips = width, [width]
        self.enc = nn.ModuleDict({f"{size(0)}_conv": nn.Conv2d(pixel, width, 3, padding=1)})
        for level, mult in enumerate(mults):
            if level > 0:
                self.enc[f"{size(level)}_down"] = Block(c, c, wide, "down")
                skips.append(c)
            for i in range(blocks):
                self.enc[f"{size(level)}_block{i}"] = Block(c, width * mult, wide, "keep")
                c = width * mult
                skips.append(c)
        if not self.denoises:
            self.head_norm, self.head = norm(c), nn.Linear(c * math.prod(at(len(mults) - 1)), 1)
            return
        self.dec = nn.ModuleDict()
        for level in reversed(range(len(mults))):
            if level + 1 == len(mults):
                self.dec[f"{size(level)}_in0"] = Block(c, c, wide, "keep")
                self.dec[f"{size(level)}_in1"] = Block(c, c, wide, "keep")
            else:
                self.dec[f"{size(level)}_up"] = Block(c, c, wide, "up")
            for i in range(blocks + 1):
                self.dec[f"{size(level)}_block{i}"] = Block(c + skips.pop(), width * mults[level], wide, "keep")
                c = width * mults[level]
        self.dec[f"{size(0)}_aux_norm"] = norm(c)
        self.dec[f"{size(0)}_aux_conv"] = nn.Conv2d(c, pixel, 3, padding=1)

    def forward(self, x, noise):
        embedding = F.silu(self.map_layer0(waves(noise, self.width // 2, 1.0, 1e-4)))
        embedding = F.silu(self.map_layer1(embedding))
        first, *blocks = self.enc.values()
        outputs = [first(patchify(x, self.patch))]
        for block in blocks:
            outputs.append(block(outputs[-1], embedding))
        h = outputs[-1]
        if not self.denoises:
            # Weights of the head are in the order of pixels, then channels.
            features = F.silu(self.head_norm(h)).permute(0, 2, 3, 1).reshape(h.shape[0], -1)
            return self.head(features)[:, 0]
        *blocks, last_norm, last_conv = self.dec.items()
        for name, block in blocks:
            if "_block" in name:
                h = torch.cat([h, outputs.pop()], 1)
            h = block(h, embedding)
        return unpatchify(last_conv[1](F.silu(last_norm[1](h))), self.patch)


def patchify(x, p):
    """Every p x p patch as one pixel: its places, then its channels."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // p, p, w // p, p).permute(0, 3, 5, 1, 2, 4).reshape(b, p * p * c, h // p, w // p)


def unpatchify(x, p):
    b, c, h, w = x.shape
    x = x.reshape(b, p, p, c // (p * p), h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(b, c // (p * p), h * p, w * p)


def per_sample(sigma, x):
    """`sigma [N]` as [N, 1, ..] with the axes of x."""
    return sigma.reshape(-1, *[1] * (x.dim() - 1))


def denoise(net, x, sigma):
    """D(x; sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4), as in EDM; `sigma` is [B] or [1]."""
    s = per_sample(sigma, x)
    variance = s.square() + SIGMA_DATA**2
    c_in = variance.rsqrt()
    return SIGMA_DATA**2 / variance * x + s * SIGMA_DATA * c_in * net(c_in * x, sigma.log() / 4)


def generate(net, latent, sigma_init):
    return denoise(net, latent * sigma_init, torch.full([1], sigma_init))


def logit(net, x_t, sigma):
    s = per_sample(sigma, x_t)
    return net((s.square() + SIGMA_DATA**2).rsqrt() * x_t, sigma.log() / 4)
