"""What `peer cases` of onestep wrote: a network configuration, settings, tensors."""

import json
from pathlib import Path

from safetensors import safe_open

import networks


class Case:
    def __init__(self, folder, name):
        folder = Path(folder)
        try:
            self.settings = json.loads((folder / f"{name}.json").read_text())
            with safe_open(folder / f"{name}.safetensors", "pt") as file:
                self.network = json.loads(file.metadata()["network"])
                self.tensors = {key: file.get_tensor(key) for key in file.keys()}
        except FileNotFoundError as error:
            raise SystemExit(f"error: {error}; `cargo xtask bench peers` writes cases first") from None

    def __getitem__(self, key):
        """A tensor; images come as [B, C, H, W]."""
        tensor = self.tensors[key]
        is_image = not any(part in key for part in ("weights.", "grad.", "after.")) and tensor.dim() == 4
        return tensor.permute(0, 3, 1, 2).contiguous() if is_image else tensor

    def part(self, prefix):
        """Tensors whose names start so, without that."""
        return {key[len(prefix) :]: self[key] for key in self.tensors if key.startswith(prefix)}

    def net(self, name):
        """The generator or the ratio network, with its weights."""
        net = networks.build(self.network, "denoise" if name == "generator" else "logit")
        net.load_state_dict(self.part(f"weights.{name}."))
        return net

    def betas(self, update):
        return (0.9, 0.999) if update == "warmup" else (self.settings["beta1"], self.settings["beta2"])

    def rate(self, update):
        return self.settings[{"warmup": "lr_warmup", "ratio": "lr_critic", "generator": "lr_generator"}[update]]
