"""`vae-use`: encode, sample, reconstruct, interpolate and export with a trained model, or import another program's.

One program with a verb for each, rather than five programs: it is one name in the user's shell and one `--help`, the
settings that all have in common are stated once, and `vae-data check` has the same form.
"""

import sys
from collections.abc import Sequence

from vae_runner.cli import exit_code_of
from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["main", "run"]

HELP = """\
vae-use: encode, sample, reconstruct, interpolate and export with a trained model; import one of another program

usage:  vae-use encode RUN IMAGES|part=PART out=FILE.npz|FILE.csv
        vae-use sample RUN out=DIR [n=64] [seed=0] [temperature=1] [from=prior|mixture [components=10] [images=10000]]
        vae-use sample RUN out=DIR codes=FILE.npz|FILE.csv|FILE.npy|NUMBER,NUMBER,...
        vae-use reconstruct RUN IMAGES|part=PART out=DIR
        vae-use interpolate RUN IMAGE IMAGE out=DIR [steps=9] [interpolation=linear|spherical] [format=auto]
        vae-use export RUN out=FILE.onnx|FILE.pt2|FILE.safetensors
        vae-use import MODEL.pt out=RUN [specs=FILE] [dataset=OPTION] [dataset.SETTING=VALUE ...]
all but import:
        [checkpoint=best|last|previous] [overwrite=true] [dataset.root=DIR] [engine.device=auto|cpu|cuda] [trust=true]

examples:
  vae-use encode outputs/latest photos out=codes.csv
  vae-use encode outputs/latest part=validation out=codes.npz
  vae-use sample outputs/latest n=1000 out=samples
  vae-use sample outputs/latest n=1000 from=mixture temperature=0.8 out=samples
  vae-use sample outputs/latest codes=codes.npz out=decoded
  vae-use reconstruct outputs/latest holiday.jpg cat.png out=again
  vae-use interpolate outputs/latest a.jpg b.jpg steps=16 out=between
  vae-use export outputs/latest out=model.pt2
  vae-use import results/betaB_dsprites/model.pt out=runs/betaB    a run for vae-evaluate, vae-redraw and these verbs

RUN is a run's folder, a job's of a sweep too. IMAGES are files, folders at any depth and zips; they are cut and resized
as the run's own images were, and a line says how many. One that cannot be read is told in a line, and the others are
used.
PART is test, validation, train or all of the run's own images.
  encode       mean and scale (standard deviation) of q(z|x), the parameters of a family that is not normal, file names,
               and known factors; .npz for numpy.load, .csv with a line for each image
  sample       a PNG for each image and codes.npz: draws of the prior, or of a mixture of Gaussians that is fitted to
               codes of training images by scikit-learn (pip install 'vae_runner[evaluate]'). temperature below 1 draws
               nearer to the middle; the same seed gives the same images. codes=FILE decodes the codes of a file,
               codes=NUMBER,NUMBER,... the one that is typed, as explore.html gives it to copy
  reconstruct  a PNG for each image, under its name
  interpolate  strip.png, frames/ and a moving picture (format=auto|gif|webp|apng|none)
  export       encoder and decoder as graphs, FILE-encoder.onnx and FILE-decoder.onnx (.pt2: torch.export), or the
               weights in one file (.safetensors). .pt2 apart: pip install 'vae_runner[export]'
  import       weights of disentangling-vae (by Dubois et al.), its model.pt and the specs.json beside it, as a new
               run's folder. Images are those that specs.json names, dsprites and celeba; of others dataset= says which
What is there already is not replaced unless overwrite=true says so.
checkpoint: by default the best; where there is none that is whole, last, or previous, and a line says so.
trust=true: build parts from outside vae_runner and torch that the saved config names.
Exit codes: 0 done, 1 failed, or some images could not be read, 2 a mistake in the request, 141 nobody reads what is
printed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    return exit_code_of("vae-use", lambda: _command(arguments))


def _command(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments) or not arguments:
        print(HELP)
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-use {__version__}")
        return 0
    from vae_runner.cli.using.wish import VERBS, read_wish

    verb, *rest = arguments
    if verb == "import":
        from vae_runner.cli.using.import_verb import import_weights

        return import_weights(rest)
    if verb not in VERBS:
        verbs = ", ".join([*VERBS, "import"])
        raise UserError(f"no verb called {plain(verb)!r}; there are {verbs}: vae-use encode outputs/latest ...")
    wish = read_wish(verb, rest)
    from vae_runner.cli.using.verbs import do

    return do(wish)


if __name__ == "__main__":
    main()
