"""Figures of trained models: their own on a test split, and what is measured of the pictures that they make."""

from genart_jax.evaluate.figures import conditional_accuracy, evaluate_run

__all__ = ["conditional_accuracy", "evaluate_run"]
