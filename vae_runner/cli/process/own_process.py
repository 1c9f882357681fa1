"""Whether a command has its process to itself, or is called in one that may have trained, and computed, before."""

__all__ = ["Program"]


class Program:
    """`is_alone`: this process is there for one command, and has done nothing else before it."""

    is_alone = False
