"""Process state of PyTorch: memory, random numbers, precision, threads, compiled code."""
