"""Correctness and speed on a GPU, in one call: ``python -m benchmarks.gpu OUT``."""
