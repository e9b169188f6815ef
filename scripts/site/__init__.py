"""The documentation's site: what is gathered and generated before Sphinx runs."""
