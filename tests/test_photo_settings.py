"""The settings that the sets of image files share are one list, and each class has them one by one."""

import inspect
from dataclasses import fields

import pytest

from vae_runner.datasets import CelebA, CelebA_HQ, SimpleImageFolder
from vae_runner.datasets.photos.photo_settings import PhotoSettings, takes_settings
from vae_runner.signature import parameters

SHARED = [field.name for field in fields(PhotoSettings)]


@pytest.mark.parametrize("kind", [SimpleImageFolder, CelebA, CelebA_HQ])
def test_each_set_of_files_has_the_shared_settings_in_its_signature(kind: type) -> None:
    found = parameters(kind)
    assert list(found)[-len(SHARED) :] == SHARED
    for field in fields(PhotoSettings):
        parameter, hint = found[field.name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default == (148 if (kind, field.name) == (CelebA, "crop") else field.default)
        assert hint == field.type
    assert not [one for one, _ in found.values() if one.kind is inspect.Parameter.VAR_KEYWORD]


@pytest.mark.parametrize("kind", [SimpleImageFolder, CelebA, CelebA_HQ])
def test_a_setting_is_checked_whichever_set_it_is_given_to(kind: type) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'image_sise'"):
        kind("x", image_sise=8)
    with pytest.raises(ValueError, match=f"{kind.__name__}: channels must be 1 or 3, got 2"):
        kind("x", channels=2)


def test_a_default_of_a_set_s_own_gives_way_to_what_is_said() -> None:
    class Faces:
        @takes_settings(crop=148)
        def __init__(self, root: str, **settings: object) -> None:
            self.root, self.settings = root, PhotoSettings(**settings)

    assert Faces("x").settings == PhotoSettings(crop=148)
    assert Faces("x", crop=None, workers=2).settings == PhotoSettings(workers=2)
