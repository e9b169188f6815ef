"""What a score's number says: which direction is better, and when it is not to be relied on. The one table of it."""

from __future__ import annotations

_DIRECTIONS = {
    "fid": "lower",
    "kid": "lower",
    "fd": "lower",
    "kd": "lower",
    "mind": "lower",
    "md": "lower",
    "mifid": "lower",
    "mifd": "lower",
    "swd": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "diversity": "real",
    "inception_score": "higher",
    "class_score": "higher",
    "accuracy": "higher",
    "balanced_accuracy": "higher",
    "joint_accuracy": "higher",
    "top_5_accuracy": "higher",
    "calibration_error": "lower",
    "modes": "higher",
    "modes_kl": "lower",
    "psnr": "higher",
    "ssim": "higher",
    "ms_ssim": "higher",
    "lpips": "lower",
    "flicker": "real",
    "nearest_clip": "real",
    "motion_diversity": "higher",
    "content_diversity": "higher",
    "content_kept": "higher",
    "content_found": "higher",
    "mig": "higher",
    "dci": "higher",
}
"""By the words that a score's name begins with, the longest that fit."""

WORDS = {"lower": "lower is better", "higher": "higher is better", "real": "best at that of real pictures", "": ""}
"""Each direction in words."""


def better(name: str) -> str:
    """Which direction of a score is better, by its name such as fd_lite0: a key of `WORDS`, "" if it is not known."""
    words = name.split("_")
    for end in range(len(words), 0, -1):
        if (found := _DIRECTIONS.get("_".join(words[:end]))) is not None:
            return found
    return ""


def few_pictures(num_real: int, num_fake: int, dimensions: int) -> str:
    """The caveat of a Frechet distance from no more pictures than dimensions; "" where there are more."""
    number = min(num_real, num_fake)
    if number > dimensions:
        return ""
    return (
        f"{number} pictures in {dimensions} dimensions have no full covariance, so the distance is too large;"
        " compare only with as many pictures"
    )


def few_to_extrapolate(num_real: int, smallest: int, dimensions: int) -> str:
    """The caveat of a distance extrapolated from sets of `smallest` pictures on; "" where there is none."""
    if min(num_real, smallest) > dimensions:
        return ""
    few = f"its smallest sets have {smallest}" if smallest <= dimensions else f"there are {num_real} real"
    return f"{few} pictures in {dimensions} dimensions, where the distance is not yet a line in 1/n; do not rely on it"


def few_in_a_split(num_fake: int, splits: int, classes: int) -> str:
    """The caveat of an Inception score whose splits have fewer pictures than there are classes; "" where none has."""
    if num_fake // splits >= classes:
        return ""
    return (
        f"splits of {num_fake // splits} pictures cannot show {classes} classes, so the score is too small;"
        " compare only with as many pictures"
    )


def no_memory(held_out: float, threshold: float, extractor: str) -> str:
    """The caveat of a MiFID's penalty, from how far held-out real pictures are from the training ones; "" if none.

    The threshold is that of Inception's features; of others it is not known what it should be.
    """
    if held_out < threshold:
        return (
            f"held-out real pictures are as near to the training pictures ({held_out:.2g}, below the threshold of"
            f" {threshold:g}), so the penalty does not tell copies from pictures of the same kind"
        )
    if extractor == "inception":
        return ""
    return f"the threshold of {threshold:g} is that of Inception's features; held-out pictures have {held_out:.2g} here"
