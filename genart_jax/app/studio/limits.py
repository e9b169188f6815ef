"""What the studio allows, in one place."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on what is sent, waits, and is kept.

    Attributes:
      body: bytes of a request that is no upload.
      upload: bytes of a picture that is sent.
      archive: bytes of a zip that is sent, and of what it unpacks to ten times as many.
      pixels: of a picture that is worked on.
      waiting: jobs in the queue; more are refused.
      tries: how often a job is begun that its worker dies of.
      streams: pages that listen at once.
      requests: that are answered at once; more are refused.
      disk: bytes of results and uploads; the oldest go first. Favourites stay.
      free: bytes that the disk must have left for something new to be kept.
      days: that results and uploads are kept.
      patience: seconds that a cancelled job may go on before its worker is ended.
      rate: requests a second from one address, where others than this machine may ask; `burst` at once.
      burst: see `rate`.
    """

    body: int = 2**16
    upload: int = 16 * 2**20
    archive: int = 64 * 2**20
    pixels: int = 16_000_000
    waiting: int = 32
    tries: int = 2
    streams: int = 32
    requests: int = 128
    disk: int = 2**30
    free: int = 64 * 2**20
    days: float = 30.0
    patience: float = 10.0
    rate: float = 50.0
    burst: int = 200
