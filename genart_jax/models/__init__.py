"""One file a model; `genart_jax.registry` knows them by name."""
