"""The embedded art set is unpacked and checked once in a process: that is most of what opening it for a run costs.

Nothing may change it, as all tests have the same arrays.
"""

import functools

from genart_jax.data import emoji


def once(load):
    """`emoji.load`, which remembers the embedded set; files that are named, and other sizes, are read each time."""

    @functools.cache
    def embedded(style):
        source = load(style=style)
        for split in (source.train, source.test):
            for values in split.arrays.values():
                values.setflags(write=False)
        return source

    @functools.wraps(load)
    def call(size=emoji.SIZES[0], path=None, style=""):
        return embedded(style) if size == emoji.SIZES[0] and path is None else load(size, path, style)

    return call


def install():
    """Begins to remember."""
    emoji.load = once(emoji.load)
