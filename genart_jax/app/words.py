"""What figures say, in words: for readers who have not read the papers."""

from __future__ import annotations

from collections.abc import Mapping

from genart_jax.config import Run, Vae, VectorQuantized
from genart_jax.runtime.values import Json
from genart_jax.steps import stages
from genart_jax.train import watch

FIGURES: Mapping[str, str] = {
    "active_units": "latents whose mean varies by more than 0.01 over test pictures",
    "aggregate_kl": "nats from the prior to the latents of up to 1,000 test pictures together; samples suffer from it",
    "aggregate_kl_moments": "the same by their mean and covariance alone, which is no more",
    "aggregate_mean": "mean of these latents together, its root of mean squares; the prior's is 0",
    "aggregate_variance": "variance of these latents together, mean over them; the prior's is 1",
    "accuracy": "share of examples whose likeliest class (or code) is right",
    "balanced_accuracy": "the same as the mean over the classes, however many examples each has",
    "iou": "what a volume and its reconstruction have both solid, as a share of what either has; 1 is the same",
    "joint_accuracy": "share of pictures of which every condition is seen right",
    "top_5_accuracy": "share of examples whose class is among the five likeliest",
    "bits_per_code": "bits that a code costs; lower is better",
    "bits_per_dim": "bits that a pixel's colour costs; lower is better",
    "commitment": "squared distance of encodings from their codes",
    "content_loss": "distance from the content picture, in features",
    "critic_accuracy": "share of real and generated pictures that the critic tells apart; 0.5 is a guess",
    "critic_lipschitz": "steepest slope of the critic's score between a real and a generated picture",
    "critic_loss": "of the critic; GANs' losses do not say how good the pictures are",
    "cycle_loss": "distance of pictures from what comes back of them, there and back again, of both sets",
    "drift": "how far generated pictures would move towards real ones, in features; lower is better",
    "elbo": "lower bound of the log likelihood, in nats a picture; higher is better",
    "fake_score": "mean score that the critic gives generated pictures",
    "hole_psnr": "peak signal-to-noise ratio in the holes, in decibels; higher is better",
    "identity_loss": "distance of pictures from what a map to their own set makes of them, of both sets",
    "input_hole_psnr": "the same of what went in",
    "input_psnr": "psnr of what went in (enlarged by bicubic interpolation): to be above it is the point",
    "input_ssim": "ssim of what went in",
    "iw_bits_per_dim": "the same by many draws of the latents: nearer to the truth",
    "iw_elbo_of_one": "elbo of the same pictures, by the same draws one by one",
    "iw_elbo": "lower bound by many draws of the latents: nearer to the log likelihood than elbo",
    "kl": "nats that the latents carry, a picture",
    "least_variety": "as variety, in the class where it is least; 0: that class is one picture",
    "loss": "mean over the examples; lower is better",
    "mse": "mean squared error of reconstructed pixels in [-1, 1]; lower is better",
    "mutual_information": "nats that a latent tells of which picture it is of, at most the log of their number",
    "perceptual_loss": "distance from what is wanted, in features",
    "perplexity": "how many codes are in use, as if each were used equally often",
    "pixel_loss": "distance from what is wanted, of pixels in [-1, 1]",
    "png_bits_per_dim": "the same of PNG files of these pictures, headers and all",
    "psnr": "peak signal-to-noise ratio of what is made to what is wanted, in decibels; higher is better",
    "real_score": "mean score that the critic gives real pictures",
    "reconstruction": "nats that a picture costs, given its latents",
    "ssim": "structural similarity of what is made to what is wanted; 1: equal",
    "tv_loss": "squared difference of neighbouring pixels; 0: flat",
    "variation": "of neighbouring pixels, which a total-variation loss keeps small",
    "variety": "mean difference between two pictures of equal conditions, of values in [-1, 1]; 0: collapsed",
    "webp_bits_per_dim": "the same of lossless WebP files",
    "style_loss": "distance from the style picture's statistics of features",
}
"""What each figure of an evaluation is."""

ORIGINALITY: Mapping[str, str] = {
    "three_sample_z": "0: as close to the training set as held-out pictures; below -3: closer",
    "three_sample_cells": "the same within regions of alike pictures",
    "closer_than_held_out": "chance that a picture is closer than a held-out one; 0.5 is none",
    "authenticity": "share that are no near copies: farther from their training picture than its own neighbour is",
    "authenticity_of_held_out": "the same of held-out pictures: what to expect without copying",
    "median_distance": "to the nearest training picture",
    "nearer_than_5_percent_of_held_out": "share nearer than all but 5 % of held-out pictures; 0.05 is chance",
}
"""What each figure of `originality` is."""


def collapsed(run: Run, figures: Json) -> list[str]:
    """Lines that say where a latent space carries next to nothing, and what to try; [] where all is well.

    Args:
      run: the resolved configuration.
      figures: of the test split.
    """
    lines = []
    kl, perplexity = float(figures.get("kl", "nan")), float(figures.get("perplexity", "nan"))
    if isinstance(run.step, Vae) and kl < watch.NATS:
        what = f"the latents carry {kl:.2g} nats a picture: the posterior has collapsed, or has not been trained enough"
        lines.append(f"{what}; try a smaller --step.beta, or --step.free-bits 0.1")
    if isinstance(run.step, VectorQuantized):
        codes = stages.codes_of(stages.algorithm_of(run)).classes
        if perplexity < max(2.0, watch.CODES * codes):
            what = f"{perplexity:.2g} of {codes} codes are in use: the codebook has collapsed, or has not been trained"
            lines.append(f"{what} enough; try a larger --model.revive-below, fewer --model.codes, or --model.levels")
    return lines
