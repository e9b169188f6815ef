"""Data sets made on the user's own machine from packages that registries carry.

`catalogue` lists them; one module holds one set, or a few that share a source: where it comes from, how it becomes
arrays, its labels, its split, its licence. `run.build` makes one, `store` keeps it. Nothing here needs jax.
"""
