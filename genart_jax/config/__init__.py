"""All options, as frozen dataclasses of JSON scalars, strings and tuples. No jax here.

A `Run` is one model's whole configuration: what a preset holds, what the command line is made from and what is saved
as config.json. The comment or docstring of a field is its help text.
"""

from genart_jax.config.autoregressive import Autoregressive as Autoregressive
from genart_jax.config.batch import BatchSpec as BatchSpec
from genart_jax.config.batch import Field as Field
from genart_jax.config.classifier import Classifier as Classifier
from genart_jax.config.cycle import Cycle as Cycle
from genart_jax.config.data import Data as Data
from genart_jax.config.drift import Drift as Drift
from genart_jax.config.errors import NotFiniteError as NotFiniteError
from genart_jax.config.errors import NotSavedError as NotSavedError
from genart_jax.config.errors import PeerLostError as PeerLostError
from genart_jax.config.errors import UserError as UserError
from genart_jax.config.gan import Gan as Gan
from genart_jax.config.judged import Judged as Judged
from genart_jax.config.judged import VaeGan as VaeGan
from genart_jax.config.judged import VqGan as VqGan
from genart_jax.config.optimizer import Optimizer as Optimizer
from genart_jax.config.parallel import Parallel as Parallel
from genart_jax.config.pixels import Pixels as Pixels
from genart_jax.config.run import Run as Run
from genart_jax.config.run import check_ranges as check_ranges
from genart_jax.config.run import classes_of as classes_of
from genart_jax.config.run import from_dict as from_dict
from genart_jax.config.run import heads_of as heads_of
from genart_jax.config.run import override as override
from genart_jax.config.run import resolve as resolve
from genart_jax.config.run import scores_of as scores_of
from genart_jax.config.run import spec_of as spec_of
from genart_jax.config.run import to_json as to_json
from genart_jax.config.stylize import Stylize as Stylize
from genart_jax.config.sweep import Sweep as Sweep
from genart_jax.config.sweep import SweepOptimizer as SweepOptimizer
from genart_jax.config.train import Train as Train
from genart_jax.config.translate import Translate as Translate
from genart_jax.config.vae import Vae as Vae
from genart_jax.config.vq import VectorQuantized as VectorQuantized
