"""Accuracy against minutes of training: ``python -m benchmarks.time_to_accuracy OUT``."""
