"""What a trained model does between and beside its samples: `genart latent`, for GANs and VAEs.

space = ga.latent.open_space("runs/modgan")
codes = space.draw([(0, 0), (0, 17)])           # two pictures of `genart sample --seed 0`
space.show(ga.latent.path(codes, 9, "slerp")[0])
direction, *_ = ga.latent.sefa(space, 5)
space.show(ga.latent.move(codes.take([0]), direction, (-2, 0, 2)))
found = ga.latent.project(space, picture)       # found.codes, found.images, found.pixel
"""

from genart_jax.use import latent  # by this name it is public: ga.latent
from genart_jax.use.latent.directions import Direction, dimensions, ganspace, move, sefa, separating
from genart_jax.use.latent.files import codes_bytes, directions_bytes, read_codes, read_directions
from genart_jax.use.latent.finding import find
from genart_jax.use.latent.interpolate import lerp, path, slerp
from genart_jax.use.latent.labels import Labelled, class_mean, encode, labelled
from genart_jax.use.latent.mix import arithmetic, cross, seed_of
from genart_jax.use.latent.project import Options, Projection, project
from genart_jax.use.latent.space import Codes, Space, open_space

__all__ = [
    "Codes",
    "Direction",
    "Labelled",
    "Options",
    "Projection",
    "Space",
    "arithmetic",
    "class_mean",
    "codes_bytes",
    "cross",
    "dimensions",
    "directions_bytes",
    "encode",
    "find",
    "ganspace",
    "labelled",
    "latent",
    "lerp",
    "move",
    "open_space",
    "path",
    "project",
    "read_codes",
    "read_directions",
    "seed_of",
    "sefa",
    "separating",
    "slerp",
]
