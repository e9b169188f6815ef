"""Peak rates of devices, which a step's rate is a share of.

Dense products, without sparsity, in TFLOP/s; bfloat16 and TensorFloat-32 by tensor cores, float32 without. From
NVIDIA's data sheets (H100 and H200, A100, V100, L4, A10, T4) and Google's pages of Cloud TPU. A V100 and a T4 have no
bfloat16. A device that is not here has no peak: its share is that of the rate of matrix products, which is measured for
all.
"""

from __future__ import annotations

PEAKS: dict[str, dict[str, float]] = {
    "H200": {"bfloat16": 989.0, "tf32": 494.0, "float32": 67.0},
    "H100 PCIe": {"bfloat16": 756.0, "tf32": 378.0, "float32": 51.0},
    "H100": {"bfloat16": 989.0, "tf32": 494.0, "float32": 67.0},
    "A100": {"bfloat16": 312.0, "tf32": 156.0, "float32": 19.5},
    "V100": {"float32": 15.7},
    "L4": {"bfloat16": 121.0, "tf32": 60.0, "float32": 30.3},
    "A10": {"bfloat16": 125.0, "tf32": 62.5, "float32": 31.2},
    "T4": {"float32": 8.1},
    "TPU v4": {"bfloat16": 275.0},
    "TPU v5 lite": {"bfloat16": 197.0},
    "TPU v5p": {"bfloat16": 459.0},
    "TPU v6 lite": {"bfloat16": 918.0},
}


def peak(device: str, precision: str) -> float | None:
    """FLOP/s at most, of a device by the name that JAX gives it, such as "NVIDIA A100-SXM4-80GB"; None: not known."""
    words = device.replace("-", " ").split()
    for name, rates in PEAKS.items():
        wanted = name.split()
        if any(words[i : i + len(wanted)] == wanted for i in range(len(words))):
            return 1e12 * rates[precision] if precision in rates else None
        if len(wanted) > 1 and set(wanted) <= set(words):  # "H100 80GB PCIe"
            return 1e12 * rates[precision] if precision in rates else None
    return None
