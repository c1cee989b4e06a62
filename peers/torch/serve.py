"""Measures PyTorch when asked, by the protocol of peers/README.md.

    python serve.py FOLDER mnist|gaussians eager|channels-last|compiled
"""

import sys

import torch

import training
from case import Case
from networks import generate
from protocol import answer


class Work:
    """A run of a preset, as a person would write it in PyTorch."""

    def __init__(self, folder, preset, mode):
        case = Case(folder, preset)
        self.settings, self.mode = case.settings, mode
        self.batch = self.settings["batch"]
        nets = {name: case.net(name) for name in ("generator", "ratio")}
        self.shape = case["sample.latent"].shape[1:]
        rate = lambda update, net: training.Optimizer(
            net, case.rate(update), case.betas(update), self.settings["clip"], self.settings["ema"]
        )
        self.memory = torch.channels_last if mode != "eager" and len(self.shape) == 3 else torch.contiguous_format
        for net in nets.values():
            net.to(memory_format=self.memory)
        self.optimizers = {"ratio": rate("ratio", nets["ratio"])}
        self.optimizers.update({update: rate(update, nets["generator"]) for update in ("warmup", "generator")})
        compiled = (lambda net: torch.compile(net, dynamic=False)) if mode == "compiled" else (lambda net: net)
        self.generator, self.ratio = compiled(nets["generator"]), compiled(nets["ratio"])
        self.squares, self.accuracy = torch.zeros(training.BINS), torch.zeros(training.BINS)
        # Numbers of the shape of the data: no time depends on what they are.
        images = len(self.shape) == 3
        self.data = torch.randint(0, 256, (10_000, *self.shape), dtype=torch.uint8) if images else torch.randn(200_000, 2)

    def draw(self, update):
        rows = torch.randint(0, self.data.shape[0], (self.batch,))
        real = self.data[rows]
        real = real.float() / 127.5 - 1 if real.dtype == torch.uint8 else real
        u = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        low, high = (0.02, 80.0) if update == "warmup" else (self.settings["sigma_min"], self.settings["sigma_max"])
        sigma = low * (high / low) ** u
        if update == "warmup":
            normal = (torch.randn(self.batch) * 1.2 - 1.2).exp()
            sigma = torch.where(torch.rand(self.batch) < 0.5, normal, sigma)
        noise = lambda: torch.randn(self.batch, *self.shape)
        wanted = lambda *updates: self.lay_out(noise()) if update in updates else None
        return training.Drawn(
            self.lay_out(real), wanted("ratio", "generator"), sigma, u, wanted("warmup", "ratio"), wanted("ratio", "generator")
        )

    def lay_out(self, x):
        return x.contiguous(memory_format=self.memory)

    def update(self, name):
        drawn, sigma_init = self.draw(name), self.settings["sigma_init"]
        if name == "warmup":
            training.warmup(self.generator, drawn)
        elif name == "ratio":
            training.ratio(self.ratio, self.generator, drawn, sigma_init, self.accuracy)
        else:
            training.generator(self.generator, self.ratio, drawn, sigma_init, self.squares, self.accuracy)
        self.optimizers[name].step()

    def warmup(self):
        self.update("warmup")

    def iteration(self):
        for _ in range(self.settings["critic_steps"]):
            self.update("ratio")
        self.update("generator")

    def sample(self, rows):
        with torch.inference_mode():
            return generate(self.generator, self.lay_out(torch.randn(int(rows), *self.shape)), self.settings["sigma_init"])


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in ("eager", "channels-last", "compiled"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    work = Work(*sys.argv[1:])
    print(f"PyTorch {torch.__version__}, {sys.argv[3]}, {torch.get_num_threads()} threads", flush=True)
    answer(work)


if __name__ == "__main__":
    main()
