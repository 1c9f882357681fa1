"""A trained model for programs that know nothing of this one: encoder and decoder, each as a function of a batch.

    encoder    images (B, C, H, W) in [0, 1]    ->    mean, scale of q(z|x), (B, D) both, of each latent space
    decoder    codes (B, D of all spaces)       ->    images (B, C, H, W) in [0, 1]: the likelihood's mean

`.onnx` and `.pt2` hold graphs, a file for each of both; a latent frame is part of them. `.safetensors` holds the
weights by name, and as metadata what they are of.
"""

import importlib.util
import io
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vae_runner import __version__
from vae_runner.auto_encoder import VAE
from vae_runner.errors import UserError
from vae_runner.files import write_atomically
from vae_runner.text import plain

__all__ = ["ENDINGS", "Decoder", "Encoder", "about_run", "export", "export_files", "safetensors_bytes"]

ENDINGS = (".onnx", ".pt2", ".safetensors")
PARTS = ("encoder", "decoder")
NEEDED = {".onnx": ("onnx", "onnxscript"), ".safetensors": ("safetensors",)}  # packages of the extra `export`
EXAMPLES = 2  # images that the graph is traced with; another number would do, but 1 is taken for fixed


class Encoder(nn.Module):
    """Images (B, C, H, W) to mean and scale of q(z|x), (B, D) both, of each latent space after the other.

    Example:
        >>> from vae_runner import architectures, latent_space, likelihood
        >>> ends = architectures.MLPEncoder((1, 8, 8), (16,)), architectures.MLPDecoder(3, (1, 8, 8), (16,))
        >>> vae = VAE(ends[0], [latent_space.NormalSpace(dims=3)], ends[1], likelihood.Bernoulli())
        >>> [tuple(part.shape) for part in Encoder(vae)(torch.rand(2, 1, 8, 8))]
        [(2, 3), (2, 3)]
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = [(posterior.mean, posterior.stddev) for posterior in self.model.posteriors(images)]
        return tuple(part for both in found for part in both)

    def names(self) -> list[str]:
        """Returns what each output is called."""
        several = len(self.model.spaces) > 1
        prefixes = [f"space{number}_" if several else "" for number in range(len(self.model.spaces))]
        return [f"{prefix}{name}" for prefix in prefixes for name in ("mean", "scale")]


class Decoder(nn.Module):
    """Codes (B, D), those of all latent spaces beside each other, to images (B, C, H, W).

    Example:
        >>> from vae_runner import architectures, latent_space, likelihood
        >>> ends = architectures.MLPEncoder((1, 8, 8), (16,)), architectures.MLPDecoder(3, (1, 8, 8), (16,))
        >>> vae = VAE(ends[0], [latent_space.NormalSpace(dims=3)], ends[1], likelihood.Bernoulli())
        >>> Decoder(vae)(torch.randn(2, 3)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        return self.model.likelihood.mean(self.model.raw(codes))


def export_files(out: Path) -> list[Path]:
    """Returns the files that `export` writes. Raises `UserError` where the ending is none of them, or a package for it
    is not installed.
    """
    if out.suffix.lower() not in ENDINGS:
        raise UserError(f"out={plain(out)}: a model goes into a file that ends in {', '.join(ENDINGS)}")
    _require(out.suffix.lower())
    if out.suffix.lower() == ".safetensors":
        return [out]
    return [out.with_name(f"{out.stem}-{part}{out.suffix}") for part in PARTS]


def export(model: VAE, image_shape: tuple[int, int, int], out: Path, about: Mapping[str, Any]) -> Iterator[Path]:
    """Write the model, which is on the CPU; yields each file when it is there. `about` is kept with the weights.

    Raises `UserError` as `export_files`, and where the model has a part that makes no graph.
    """
    files = export_files(out)
    if out.suffix.lower() == ".safetensors":
        write_atomically(files[0], safetensors_bytes(model.state_dict(), about))
        yield files[0]
        return
    encoder, decoder = Encoder(model).eval(), Decoder(model).eval()
    inputs = {"images": torch.rand(EXAMPLES, *image_shape), "codes": torch.zeros(EXAMPLES, sum(model.latent_dims))}
    ends = ((encoder, "images", encoder.names()), (decoder, "codes", ["images"]))
    for file, (module, name, outputs) in zip(files, ends, strict=True):
        program = _program(module, name, inputs[name])
        data = _pt2(program) if file.suffix.lower() == ".pt2" else _onnx(program, name, outputs)
        write_atomically(file, data)
        yield file


def _require(ending: str) -> None:
    for name in NEEDED.get(ending, ()):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{ending} needs the package {name}: pip install 'vae_runner[export]'; .pt2 needs none")


def _program(module: nn.Module, name: str, example: Tensor) -> ExportedProgram:
    """The graph of a module for any number of inputs."""
    try:
        with torch.no_grad():
            return torch.export.export(module, (example,), dynamic_shapes={name: {0: Dim("batch", min=1)}})
    except Exception as error:  # a part of the user's own may do what no graph can
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"the {type(module).__name__.lower()} makes no graph: {plain(reason)}") from error


def _pt2(program: ExportedProgram) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _onnx(program: ExportedProgram, name: str, outputs: list[str]) -> bytes:
    """The graph in ONNX, its weights with it. Raises `UserError` where ONNX has no such operation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own packages
        try:
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[name], output_names=outputs,
                custom_translation_table={
                    torch.ops.aten.lgamma.default: _lgamma, torch.ops.aten.nextafter.default: _nextafter,
                },
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            lacking = re.search(r"aten[.:]+\w+", str(error.__cause__ or error))
            what = f"ONNX has no {lacking[0]}" if lacking else plain(str(error).strip().split("\n")[0])
            raise UserError(f"of {name} no ONNX graph can be made: {what}; .pt2 takes all") from error
    if made is None:
        raise UserError(f"of {name} no ONNX graph can be made; .pt2 takes all")
    return made.model_proto.SerializeToString()


def _lgamma(self: Any) -> Any:
    """log Gamma(x), x > 0, of operations that ONNX has: Stirling's series at x + 7, and back by
    Gamma(x + 1) = x Gamma(x).
    """
    op = importlib.import_module("onnxscript").opset18
    x, back = self, None
    for _ in range(7):
        back = op.Log(x) if back is None else op.Add(back, op.Log(x))
        x = op.Add(x, 1.0)
    series = op.Div(op.Sub(1 / 12, op.Div(op.Sub(1 / 360, op.Div(1 / 1260, op.Mul(x, x))), op.Mul(x, x))), x)
    body = op.Sub(op.Mul(op.Sub(x, 0.5), op.Log(x)), x)
    return op.Sub(op.Add(op.Add(body, 0.5 * math.log(2 * math.pi)), series), back)


def _nextafter(self: Any, other: Any) -> Any:
    """The number itself, an ulp away: it is there to keep intervals from being empty."""
    return importlib.import_module("onnxscript").opset18.Identity(self)


def safetensors_bytes(weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Returns a file of these tensors; what is `about` them, texts or what JSON makes of it, goes into its metadata."""
    from safetensors.torch import save

    known = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    apart = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
    return save(apart, metadata=known)


def about_run(run: Any) -> dict[str, Any]:
    """What a file says of the run whose weights it holds."""
    known = {"format": "pt", "made_by": f"vae_runner {__version__}", "step": run.step, "config": run.config}
    return {**known, "image_shape": list(run.image_shape), "latent_dims": list(run.model.latent_dims)}
