"""Our side without jax: a model of 7 parameters."""

from types import SimpleNamespace


def prepare(**case):
    run = {
        "name": case["name"],
        "model": {"image_shape": case["image_shape"]},
        "train": {"batch": case["batch"], "precision": "float32"},
    }
    return SimpleNamespace(facts={"model": case["name"], "run": run, "platform": "cpu", "parameters": {"net": 7}})
