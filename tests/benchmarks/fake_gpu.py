"""Both sides of `benchmarks.gpu` without a framework."""

import os
import time

PARAMETERS = {"net": 7}


def warm():
    platform = os.environ.get("FAKE_PLATFORM", "gpu")
    return {"platform": platform, "device": "NVIDIA H200", "devices": 1, "memory_bytes": None}


class Subject:
    def __init__(self, **values):
        if values.get("batch") == 13:
            raise RuntimeError("out of memory\nat all")
        if values.get("batch") == 14:
            time.sleep(60)
        run = {"parallel": {"data": 1}, "train": {"precision": "bfloat16"}}
        self.facts = {"run": run, "platform": "gpu", "device": "NVIDIA H200", "parameters": PARAMETERS, "flops": 989e9,
                      "images_per_step": 10, "host_seconds": 0.0, "memory": {"peak_bytes": 2**20},
                      "compile_seconds": 1.0, "model": "net", "judge": "icons_style", "judge_sha256": "abc",
                      "pictures": 100}  # fmt: skip
        if "kind" not in values:  # PyTorch's
            self.facts = {"parameters": PARAMETERS}
        self.seconds = 0.002 if "kind" in values else 0.004

    def round(self):
        return self.seconds

    def matmul(self):
        return 500e12

    def device_memory(self):
        return 3 * 2**20

    def until(self, seconds):
        return {"training_seconds": seconds, "steps": 10, "style_accuracy": 0.5, "ended": False}


def prepare(**values):
    return Subject(**values)


def alike(**values):
    return {"devices": 1, "apart": {"pmap": 1e-7}, "moved": 0.1, "limit": 1e-5, "alike": True}
