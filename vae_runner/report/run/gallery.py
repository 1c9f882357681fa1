"""The pictures of a run on its page: the newest of each kind, and what moves."""

import base64
from collections.abc import Mapping, Sequence

from vae_runner.foreign import dig, number
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.run.findings import latent_kl
from vae_runner.report.run.run_curves import SCHEDULES
from vae_runner.runs.picture_files import Picture
from vae_runner.runs.read import Run
from vae_runner.runs.words import count

__all__ = ["animations", "embedded", "pictures"]

PAGE_WIDTH = 1132  # CSS pixels, as in style.css
HALF_WIDTH = 540  # of one of two pictures beside each other
TEXT = 12  # of the texts of all pictures
WIDE = frozenset({"traversal", "reconstruction", "factors"})  # pictures that have labels to be read
ABOUT = {
    "traversal": "each row moves one latent, all others stay",
    "reconstruction": "input images, and below each its reconstruction",
    "samples": "decoded samples of the prior",
    "mixture": "decoded samples of Gaussians that are fitted to the codes of images",
    "random": "decoded random codes",
    "linspace": "each row moves one latent, all others stay",
    "path": "decoded codes along a path through latent space",
    "data": "images of the data set",
    "factors": "what the data varies: each row moves one factor, all others stay",
    "kl": "what each latent carries, in the course of training",
    "schedule": "how the weight and the capacity move",
    "codes": "where the encoder puts the images",
    "scatter": "where the encoder puts the images",
}
ABOUT_MOVING = {
    "traversal": "each image moves one latent back and forth, all others stay",
    "training": "the same codes, decoded in the course of training",
}


def pictures(run: Run) -> Html:
    """The newest picture of each kind, but for those of what the page draws itself."""
    drawn = {"curves"} | ({"kl"} if latent_kl(run) else set())
    if any(_is_scheduled(key) for key in (run.train[-1] if len(run.train) > 1 else {})):
        drawn.add("schedule")  # before there are curves it shows what is planned
    return _gallery("Pictures", [picture for picture in run.pictures if picture.words[0] not in drawn], ABOUT)


def _is_scheduled(key: str) -> bool:
    return key.rpartition("/")[2] in SCHEDULES


def animations(run: Run) -> Html:
    """What moves: through latent space, or in the course of training."""
    return _gallery("Animations", run.animations, ABOUT_MOVING)


def embedded(picture: Picture, caption: str) -> Html:
    """The picture itself, inside the page, at the size at which its texts are as large as those of the others."""
    share = _share(picture)
    return tag(
        "img",
        src=Html(f"data:image/{picture.type};base64," + base64.b64encode(picture.data).decode()),
        width=round(picture.width * share),
        height=round(picture.height * share),
        alt=caption,
        # One that is shown smaller, and a drawing at any size, have to be smoothed.
        class_="crisp" if share == 1 and picture.width <= PAGE_WIDTH and picture.type != "svg+xml" else None,
    )


def _share(picture: Picture) -> float:
    """The part of its size at which its texts are of `TEXT` pixels, where it says how large they are."""
    size = number(dig(picture.details, "layout", "font_size"))
    return TEXT / size if size is not None and TEXT <= size <= 5 * TEXT else 1.0


def _gallery(name: str, shown: Sequence[Picture], about: Mapping[str, str]) -> Html:
    figures = [_figure(picture, about.get(picture.words[0], "")) for picture in shown]
    return section(name, tag("div", *figures, class_="pictures")) if shown else Html()


def _figure(picture: Picture, about: str) -> Html:
    step = number(picture.details.get("step"))
    caption = ": ".join(filter(None, [f"step {count(step)}" if step is not None else "", about]))
    image = embedded(picture, ", ".join(filter(None, [picture.name, caption])))
    has_labels = picture.words[0] in WIDE or picture.type == "svg+xml"
    is_wide = picture.width * _share(picture) > (HALF_WIDTH if picture.words[0] in WIDE else PAGE_WIDTH)
    return tag(
        "figure",
        tag("h3", picture.title),
        tag("div", image, class_="scroll") if has_labels else image,
        tag("figcaption", caption) if caption else "",
        class_="wide" if is_wide else None,
    )
