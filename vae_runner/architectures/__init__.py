"""Encoders and decoders for images of any channel count and any size from 16 pixels up.

An encoder is built from the shape of the images and has `num_features`; a decoder from the number of latent dimensions
and the shape of its output. Both shapes follow from the data, and so are never written in a config.
"""

from vae_runner.architectures.conv import ConvDecoder, ConvEncoder
from vae_runner.architectures.mlp import MLPDecoder, MLPEncoder

__all__ = ["ConvDecoder", "ConvEncoder", "MLPDecoder", "MLPEncoder"]
