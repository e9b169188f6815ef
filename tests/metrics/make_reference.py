"""Writes what torch-fidelity says of seeded features and of an Inception network with seeded weights.

    python -m tests.metrics.make_reference

Needs torch and torch-fidelity (0.4.0 was used), which the tests themselves do not: they compare with the files.
torchvision, which torch-fidelity imports for networks that are not asked for here, need not be there.
"""

import contextlib
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from tests.metrics import seeded

HERE = Path(__file__).parent


def main():
    import torch

    with contextlib.ExitStack() as stack:
        try:
            import torchvision  # noqa: F401
        except Exception:
            names = ["torchvision"] + [f"torchvision.{n}" for n in ("datasets", "transforms", "transforms.functional")]
            stack.enter_context(mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in names}))
        from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        figures = {}
        for name, (real, fake) in seeded.FEATURES.items():
            x, y = (torch.from_numpy(seeded.features(*spec).astype(np.float64)) for spec in (real, fake))
            moments = [metric_fid.fid_features_to_statistics(f) for f in (x, y)]
            kid = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None,
                   "kid_kernel_poly_coef0": 1, "rng_seed": 2020, "verbose": False}  # fmt: skip
            figures[name] = {
                **metric_fid.fid_statistics_to_metric(*moments, verbose=False),
                **metric_kid.kid_features_to_metric(x, y, kid_subsets=20, kid_subset_size=40, **kid),
                **metric_isc.isc_features_to_metric(y, splits=10, shuffle=False),
                **metric_prc.prc_features_to_metric(y, x, prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=False,
                                                    verbose=False),
            }  # fmt: skip
        (HERE / "reference.json").write_text(json.dumps(figures, indent=2) + "\n")

        layers = ["192", "768", "2048", "logits_unbiased"]
        with mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"), mock.patch.object(torch, "load"):
            network = FeatureExtractorInceptionV3("inception", layers, feature_extractor_weights_path="none")
        shapes = {k: tuple(v.shape) for k, v in network.state_dict().items() if "num_batches" not in k}
        weights = seeded.weights(shapes)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
        images = torch.from_numpy(seeded.images()).permute(0, 3, 1, 2)
        outputs = dict(zip(layers, (f.numpy() for f in network(images)), strict=True))
        np.savez_compressed(HERE / "inception.npz", **outputs)
        (HERE / "inception_shapes.json").write_text(json.dumps(shapes, indent=0) + "\n")


if __name__ == "__main__":
    main()
