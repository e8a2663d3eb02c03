"""Process state of PyTorch: memory, random numbers, precision, threads, compilation (internal)."""
