"""A peer without a framework: as fast as the configuration's batch is small."""

import time

from genart_jax.config import UserError


def variants(name):
    return ("slow", "fast", "broken")


def check():
    pass


class Subject:
    def __init__(self, run, variant):
        if run["train"]["batch"] == 3:
            raise UserError("three is no batch")
        if variant == "broken":
            raise RuntimeError("no compiler\nat all")
        print("noise on stdout must not matter")  # noqa: T201
        more = run["train"]["batch"] == 5
        self.facts = {"parameters": {role: more + count for role, count in PARAMETERS.items()}}
        self.seconds = {"slow": 0.05, "fast": 0.01}[variant]

    def round(self):
        time.sleep(self.seconds)
        return self.seconds


PARAMETERS = {"decoder": 1168, "encoder": 1176}


def prepare(name, run, platform, variant):
    assert (name, platform) == ("mlp_vae", "cpu")
    return Subject(run, variant)
