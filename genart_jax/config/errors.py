"""What can go wrong, as exceptions with a message for a person. No jax here."""

from __future__ import annotations


class UserError(ValueError):
    """The user's input is wrong. The message is one line that says what, and how to mend it."""


class NotFiniteError(ArithmeticError):
    """A loss became NaN or infinite. The message names step, metric and the last good checkpoint.

    Attributes:
      what: the message without advice.
      step: number of the step, from 1, in which it was seen.
    """

    def __init__(self, message: str, what: str = "", step: int = 0) -> None:
        super().__init__(message)
        self.what, self.step = what, step


class PeerLostError(RuntimeError):
    """Another process of a run on several hosts has ended. The message says how to go on."""


class NotSavedError(OSError):
    """A state could not be saved. The message says why, and from where the run can go on."""
