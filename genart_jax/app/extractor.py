"""What the commands that score say beside their figures, and the features that they take where none are named."""

from __future__ import annotations

import sys


def tell(text: str) -> None:
    """What is being done, on standard error."""
    print(f"{text} ...", file=sys.stderr, flush=True)


def default_extractor(chosen: str | None, fallback: str) -> str | None:
    """The extractor to take: the one named, or lite0 where its weights are."""
    if chosen is not None:
        return None if chosen == "none" else chosen
    from genart_jax import assets

    return fallback if assets.available("efficientnet_lite0") else None


def note(chosen: str | None, taken: str | None) -> None:
    """Says why there is nothing over lite0, if nobody asked for that."""
    if chosen is None and taken is None:
        print("nothing over lite0, whose weights are not here: genart assets fetch efficientnet_lite0", file=sys.stderr)
