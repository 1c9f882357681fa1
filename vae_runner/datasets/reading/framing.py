"""Which part of an image is used, and how large it becomes: rectangles of given proportions inside of others.

Of an image w x h, for a wanted size W x H, the largest part of the wanted proportions touches two of its sides:

    (w, w H / W)  where  w H <= h W,  else  (h W / H, h)

With images and wanted size exchanged, it is how large all of the image can be inside of the wanted size.
"""

__all__ = ["centred", "largest", "squared"]


def squared(size: int | tuple[int, int]) -> int | tuple[int, int]:
    """Returns a side or (height, width); a square as its side, however it was written.

    Example:
        >>> squared((64, 64)), squared((64, 96))
        (64, (64, 96))
    """
    if isinstance(size, int):
        return size
    height, width = size
    return height if height == width else (height, width)


def largest(room: tuple[float, float], proportions: tuple[float, float]) -> tuple[int, int]:
    """Returns the size of the largest rectangle of these proportions that fits into the room, all (width, height); at
    least a pixel each way.

    Example:
        >>> largest((178, 218), (96, 64)), largest((178, 218), (64, 64))
        ((178, 119), (178, 178))
    """
    (width, height), (wide, high) = room, proportions
    if width * high <= height * wide:
        return (round(width), max(round(width * high / wide), 1))
    return (max(round(height * wide / high), 1), round(height))


def centred(size: tuple[int, int], part: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the part in the middle: left, top, right, bottom."""
    left, top = (round((whole - used) / 2) for whole, used in zip(size, part, strict=True))
    return (left, top, left + part[0], top + part[1])
