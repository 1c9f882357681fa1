"""The preset that suits a data set, taken where the command line chooses that set and, of presets, nothing.

The defaults of train.yaml suit shapes in black and white. Under the Bernoulli likelihood the shades of a photo weigh so
little that latents soon carry little, and the factors of Shapes3D want another beta (docs/default_run.md). So

    vae-train dataset=shapes3d                     is vae-train dataset=shapes3d experiment=shapes3d
    vae-train dataset=shapes3d experiment=null     takes the settings of any data
    vae-train dataset=folder dataset.channels=1    too: of gray images nobody knows what they are

What the command line chooses itself goes before, as it does with any preset, and a line says what was taken.
"""

from collections.abc import Mapping, Sequence

__all__ = ["SUITED", "suited"]

SUITED: Mapping[str, str] = {
    "shapes3d": "shapes3d",
    "folder": "photos64",
    "celeba": "photos64",
    "celeba_hq": "photos64",
}


def suited(settings: Sequence[str]) -> str | None:
    """Returns the preset that the settings of a command line, of one run, take by themselves, if any."""
    given = dict(text.lstrip("+").partition("=")[::2] for text in settings)
    if "experiment" in given or given.get("dataset.channels") == "1":
        return None
    return SUITED.get(given.get("dataset", ""))
