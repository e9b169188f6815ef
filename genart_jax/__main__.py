"""`python -m genart_jax` is `genart`."""

import sys

from genart_jax.app.cli import main

sys.exit(main())
