"""Encoders and decoders for images of any channel count and any size from 8 pixels up.

An encoder is built from the shape of the images and has `num_features`; a decoder from the number of latent dimensions
and the shape of its output. Both shapes follow from the data, and so are never written in a config. A module that keeps
its weights inside a set has `constrain()`, which is called after each optimiser step.
"""

from vae_runner.architectures.broadcast import BroadcastDecoder
from vae_runner.architectures.conv import ConvDecoder, ConvEncoder
from vae_runner.architectures.linear import LinearDecoder
from vae_runner.architectures.mlp import MLPDecoder, MLPEncoder
from vae_runner.architectures.resnet import ResNetDecoder, ResNetEncoder

__all__ = ["BroadcastDecoder", "ConvDecoder", "ConvEncoder", "LinearDecoder", "MLPDecoder", "MLPEncoder"]
__all__ += ["ResNetDecoder", "ResNetEncoder"]
