"""What a GPU can do, in one command that fits a short time: see `benchmarks.gpu.__main__`."""
