"""Losses as unreduced pure functions: one value an example."""
