"""Convolution layers that train at full speed on CPU, in place of ``flax.linen.Conv`` and ``ConvTranspose``.

XLA's CPU backend is fast for some convolutions and up to a hundred times slower for others that compute the same
sums, and automatic differentiation leads from the first to the second. So convolution is defined here as a family
that is closed under differentiation: the convolution, its transpose in the image and its transpose in the kernel
(the gradient of the weights). The derivatives of each are the other two, hence those of every order are made of the
same three, in reverse mode and forward mode, and each of the three is computed by the fastest exact form for its
backend and shape. `choose` is the one place that decides; `forms` overrules it.

A convolution is linear in the image and in the kernel. With x (N, *S, Ci), w (*K, Ci/G, Co) and y (N, *O, Co),
stride s, dilation d and low padding p, three contractions come from the one sum over n, o, k, ci, co of
x[n, o*s + k*d - p, ci] * w[k, ci, co] * y[n, o, co]:

* ``conv``       x, w -> y    the convolution,
* ``transpose``  y, w -> x    its transpose in x, which is also the "transposed convolution" of a generator,
* ``weight``     x, y -> w    its transpose in w, the gradient of the kernel.

Each form computes one of the three for a `Geometry`, and has a file here of its name. The tests hold every form against
``lax``.

The layers take the parameters of Flax's (same names, shapes and initial values) and give the same numbers to
rounding. Images are channels-last, kernels are (*K, in, out). GPU and TPU always run ``lax`` convolutions. Meshes
with Explicit axes run ``lax`` with its own derivatives; Auto and Manual axes (``jit``, ``shard_map``, ``pmap``) take
the forms.
"""

from genart_jax.nn.conv.choice import choose
from genart_jax.nn.conv.context import divided, eigen, forms, plain
from genart_jax.nn.conv.functions import conv, conv_transpose
from genart_jax.nn.conv.layers import Conv, ConvTranspose

__all__ = ["Conv", "ConvTranspose", "choose", "conv", "conv_transpose", "divided", "eigen", "forms", "plain"]
