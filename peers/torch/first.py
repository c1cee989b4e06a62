"""From nothing to a picture in a file, as fast as each runtime allows.

    python first.py FOLDER torch|onnx FILE.npy
"""

import json
import sys
from pathlib import Path

import numpy


def with_torch(folder):
    import torch
    from safetensors import safe_open

    import networks

    with safe_open(folder / "mnist.generator.safetensors", "pt") as file:
        metadata = file.metadata()
        net = networks.build(json.loads(metadata["network"]), "denoise")
        net.load_state_dict({key: file.get_tensor(key) for key in file.keys()})
    height, width, channels = json.loads(metadata["data_shape"])
    with torch.inference_mode():
        return networks.generate(net, torch.randn(1, channels, height, width), float(metadata["sigma_init"])).numpy()


def with_onnx(folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "mnist.generator.onnx", providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    latent = numpy.random.default_rng(0).standard_normal((1, *shape), numpy.float32)
    return session.run(None, {"latent": latent})[0]


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in ("torch", "onnx"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    folder, how, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    numpy.save(out, (with_torch if how == "torch" else with_onnx)(folder))


if __name__ == "__main__":
    main()
