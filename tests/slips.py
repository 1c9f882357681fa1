"""Odd command lines of other kinds than those of `fuzz`: values out of all range, own files with slips, Hydra's own
settings, parts put where others belong, references, sweeps that repeat themselves. `slips.txt` has the words.

Some of them are no mistakes (a seed of 10^9 is one like any other): these may begin to train.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["Slips", "leftovers"]

WORDS: dict[str, list[str]] = {}
for line in (Path(__file__).parent / "slips.txt").read_text().splitlines():
    if line.startswith("[") and line.endswith("]") and line[1:-1].isalpha() and len(line) > 5:
        WORDS[line[1:-1]] = []
    else:
        WORDS[list(WORDS)[-1]].append(line)
PRESET = "\n".join(WORDS["preset"]) + "\n"
PIECES = [
    "\t",
    ":",
    "- ",
    "'",
    '"',
    "{",
    "[",
    "]",
    "}",
    "&a ",
    "*a",
    "!x ",
    "%",
    "@",
    "`",
    "\x07",
    "\n\n  ",
    "#",
    "? ",
    "| ",
    "> ",
    "\u00a0",
]
PIECES += [
    "seed: 4\n",
    "---\n",
    "...\n",
    "<<: 3\n",
    "${",
    "${nothing}",
    "\x00",
    "null: 1\n",
    "a: &a [*a]\n",
    "\ufeff",
    "1: 2\n",
    "=: 1\n",
]


class Slips:
    """Command lines. `groups` have options; `settings` are the settings of each choice, by name: their choice."""

    def __init__(self, seed: int, groups: Mapping[str, Sequence[str]], settings: Mapping[str, str]) -> None:
        self.random = random.Random(seed)
        self.groups, self.settings = groups, settings
        self.makers: list[Callable[[], list[str]]] = [
            *(self.extreme, self.preset, self.hydra, self.swept, self.extreme, self.flag, self.target, self.extreme),
            *(
                self.reference,
                self.preset,
                self.removed,
                self.text,
                self.choice,
                self.hydra,
                self.pictures,
                self.resumed,
            ),
        ]

    def lines(self, count: int) -> Iterator[list[str]]:
        """That many of them, each kind in its turn; the files that they need are written as they are asked for."""
        Path("mine/experiment").mkdir(parents=True, exist_ok=True)
        Path("file").write_text("no config: [")
        for number in range(count):
            yield self.makers[number % len(self.makers)]()

    def extreme(self) -> list[str]:
        key = self.random.choice(sorted(self.settings))
        return [*filter(None, [self.settings[key]]), f"{key}={self.random.choice(WORDS['numbers'])}"]

    def preset(self) -> list[str]:
        """A preset with a slip, or saved by an editor with an idea of its own."""
        text, place = PRESET, self.random.randrange(len(PRESET))
        kind = self.random.randrange(6)
        if kind < 3:
            text = text[:place] + self.random.choice(PIECES) + text[place:]
        elif kind == 3:
            text = text[:place] + text[place + self.random.randint(1, 8) :]
        elif kind == 4:
            lines = text.splitlines(keepends=True)
            self.random.shuffle(lines)
            text = "".join(lines)
        encoding = self.random.choice(["utf-8"] * 4 + ["utf-16", "utf-8-sig", "utf-32"]) if kind == 5 else "utf-8"
        data = text.encode(encoding)
        if kind == 5 and encoding == "utf-8":
            data = data[:place] + bytes([self.random.randrange(128, 256)]) + data[place:]
        Path("mine/experiment/own.yaml").write_bytes(data)
        return ["--config-dir=mine", "experiment=own", "seed=x"]  # wrong in any case, so that it trains nothing

    def hydra(self) -> list[str]:
        return self.one_of("hydra")

    def swept(self) -> list[str]:
        return ["--multirun", *self.one_of("swept")]

    def flag(self) -> list[str]:
        return self.one_of("flags")

    def target(self) -> list[str]:
        """A part where another belongs."""
        key = self.random.choice(
            [*self.groups, "divergence.beta", "distribution.prior", "visualisation.x", "seed", "engine"]
        )
        key, target = key.replace("/", "."), self.random.choice(WORDS["targets"])
        return [
            self.random.choice(
                [f"{key}._target_={target}", f"{key}={{_target_:{target}}}", f"+{key}.more={{_target_:{target}}}"]
            )
        ]

    def reference(self) -> list[str]:
        key = self.random.choice([*sorted(self.settings), *self.groups])
        return [*filter(None, [self.settings.get(key, "")]), f"{key}={self.random.choice(WORDS['references'])}"]

    def removed(self) -> list[str]:
        key = self.random.choice(
            [*sorted(self.settings), *self.groups, "engine", "visualisation", "seed", "resume", "trust"]
        )
        chosen = self.settings.get(key, "")
        return [
            *filter(None, [chosen]),
            self.random.choice([f"~{key}", f"~{key}=1", f"++{key}.x=1", f"{key}.0=1", f"++{key}=null"]),
        ]

    def text(self) -> list[str]:
        """Where the images are: a name that looks like something else."""
        names = [
            "2024_01_02",
            "1e3",
            "true",
            "null",
            "007",
            "photos(1)",
            "a(b",
            "[a]",
            "{a:1}",
            "~nobody",
            "nan",
            "1,2",
            "a,",
            "a]",
            "x y",
        ]
        names += [
            "/dev/null",
            "/proc/self/fd",
            "file",
            "file/x",
            "a" * 5000,
            "..\\x",
            "a$b",
            "$HOME",
            "a\x07b",
            "\udcff",
            "-x",
            "=",
            "a=b",
        ]
        group = self.random.choice(["folder", "celeba", "celeba_hq"])
        return [
            f"dataset={group}",
            f"dataset.{self.random.choice(['root', 'root', 'cache_dir'])}={self.random.choice(names)}",
        ]

    def choice(self) -> list[str]:
        """Options put together that may not go together."""
        chosen = self.random.sample(sorted(self.groups), 3)
        wrong = self.random.choice(["[a]", "[]", "{}", "3", "true", "../x", "/", "a/b", "x.yaml", "${seed}", "a@b"])
        pairs = [f"{group}={self.random.choice(self.groups[group])}" for group in chosen[:2]]
        return [
            *pairs,
            self.random.choice([f"{chosen[2]}={wrong}", f"+{chosen[2]}@x={wrong}", f"{chosen[2]}@{chosen[0]}={wrong}"]),
        ]

    def pictures(self) -> list[str]:
        options = self.groups["visualisation"]
        first, second = self.random.choice(options), self.random.choice(options)
        wrong = [
            f"[{first},{first}]",
            f"[{first},[{second}]]",
            f"[{first},3]",
            "[null]",
            f"{{{first}:1}}",
            f"{first}",
            f"[{first},x]",
            "3",
        ]
        nodes = [
            f"visualisation.{first}=null",
            f"visualisation.{first}={{}}",
            f"~visualisation.{first}",
            f"++visualisation.{first}.x=1",
        ]
        return (
            [f"visualisation={self.random.choice(wrong)}"]
            if self.random.random() < 0.6
            else [self.random.choice(nodes)]
        )

    def resumed(self) -> list[str]:
        """A run's folder with something in it that is no config."""
        folder = Path("old", "checkpoints")
        folder.mkdir(parents=True, exist_ok=True)
        text = self.random.choice(
            ["", "[]", "3", "a: [", "seed: 1", "a: &a [*a]", "engine: 3\nseed: 1", "\x00", "seed: ${", PRESET]
        )
        Path("old/config.yaml").write_text(text)
        inner = self.random.choice(
            ["old", "old/checkpoints", "old/checkpoints/last.pt", "old/config.yaml", "old/..", "old/"]
        )
        more = self.random.choice(
            [[], ["trust=true"], ["seed=x"], ["dataset.root=1e3"], ["engine.steps=1e300"], ["-m"], ["trust=maybe"]]
        )
        return [f"resume={inner}", *more]

    def one_of(self, section: str) -> list[str]:
        return self.random.choice(WORDS[section]).replace("FILE", "file").replace("LONG", "x" * 5000).split(" ")


def leftovers(before: set[str]) -> list[str]:
    """What is in the working folder that was not there before."""
    return sorted(set(os.listdir()) - before)
