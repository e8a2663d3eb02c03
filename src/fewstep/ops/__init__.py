"""Layers whose derivatives stay fast and small in the second order (internal).

PyTorch differentiates twice through convolution, batch norm and max-pooling by chains of smaller
operations that fall back to a slow memory layout. Here each gradient is an operation of its own,
in channels-last layout, with a derivative of its own. So are those of attention and of recurrent
layers, on every device.
"""
