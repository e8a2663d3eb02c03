"""Layers whose derivatives stay fast in the second order, on the CPU (internal).

PyTorch differentiates twice through convolution, batch norm and max-pooling by chains of smaller
operations that fall back to a slow memory layout. Here each gradient is an operation of its own,
in channels-last layout, with a derivative of its own.
"""
