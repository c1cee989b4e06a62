"""Measures onnxruntime when asked, by the protocol of peers/README.md: samples of `onestep export --format onnx`.

    python serve_onnx.py FOLDER mnist|gaussians
"""

import sys
from pathlib import Path

import numpy
import onnxruntime

from protocol import answer


class Work:
    def __init__(self, folder, preset):
        path = Path(folder) / f"{preset}.generator.onnx"
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.shape = self.session.get_inputs()[0].shape[1:]
        self.random = numpy.random.default_rng(0)

    def sample(self, rows):
        latent = self.random.standard_normal((int(rows), *self.shape), numpy.float32)
        return self.session.run(None, {"latent": latent})[0]


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    work = Work(*sys.argv[1:])
    print(f"onnxruntime {onnxruntime.__version__}", flush=True)
    answer(work)


if __name__ == "__main__":
    main()
