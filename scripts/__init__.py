"""What builds, checks and describes the package; no part of it."""
