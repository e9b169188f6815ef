"""Figures of trained models: their own on a test split, and what is measured of the pictures that they make."""

from genart_jax.evaluate.figures import evaluate_run
from genart_jax.evaluate.scores import accuracy_score

__all__ = ["accuracy_score", "evaluate_run"]
