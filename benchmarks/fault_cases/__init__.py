"""The cases of benchmarks.faults."""
