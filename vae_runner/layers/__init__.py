"""Layers that train faster on a CPU: the same parameters, the same results up to the order of summation.

`halving` has the 4x4 convolution with stride 2 and its adjoints, by the kernels that are fast; `functions` makes each
layer one function for the tape, with the rectifier behind it; `accelerate` lets torch's own layers use them.
"""

from vae_runner.layers.accelerate import accelerate, plainly

__all__ = ["accelerate", "plainly"]
