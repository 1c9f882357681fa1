"""Wrong command lines, made from a seed and from what the program can be told: its groups, options and settings."""

import random
import string
from collections.abc import Callable, Iterator, Sequence

__all__ = ["Mistakes"]

WRONG = {  # values that no setting of that kind takes, whatever its name
    "int": ["abc", "1.5", "-1", "0", "[1]", "{a:1}", "nan", "inf", "-inf", "true", "''", "1e400", "0x", "1,5x", "½"],
    "float": ["abc", "nan", "-inf", "[1]", "{a:1}", "true", "''", "1..2", "--3"],
    "bool": ["abc", "2", "1.0", "[true]", "{}", "yes please", "''"],
    "str": ["[1]", "{a:1}", "1", "true", "2.5"],
}
GRAMMAR = (
    """
{key} ¦ {key}= ¦ ={value} ¦ ~{key}x ¦ +{key}={value}x ¦ {key}@pkg={value} ¦ @{key}=1 ¦ {key}=[ ¦ {key}=] ¦
{key}={{ ¦ {key}=' ¦ {key}=" ¦ {key}=a b (c ¦ {key}=a:b:{{ ¦ {key}=\\ ¦ {key}=$ ¦ {key}=${{ ¦
{key}=${{nothing}} ¦ {key}=${{oc.env:NOT_THERE}} ¦ {key}=${{oc.decode:'['}} ¦ {key}==1 ¦ {key}=, ¦ {key}=1,2 ¦
{key}=choice( ¦ {key}=choice(1,2) ¦ {key}=range(1,5) ¦ {key}=glob(*) ¦ {key}=sort(3,1) ¦ {key}=interval(0,1) ¦
{key}=int(abc) ¦ {key}=float(x) ¦ {key}=json_str( ¦ {key}.more=1 ¦ {key}..x=1 ¦ .{key}=1 ¦ {key}.=1 ¦
{key}/x=1 ¦ +{key} ¦ ++{key} ¦ ~{key}=1=2 ¦ {key}=??? ¦ {key}=[1,[2,[3,[4]]]] ¦ {key}={{a:{{b:{{c:1}}}}}} ¦
_target_=os.system ¦ +_target_=os.system ¦ {key}._target_=os.system ¦ hydra.{key}=1 ¦ hydra/{key}=1 ¦
hydra.callbacks=1 ¦ hydra.run=1 ¦ hydra.sweep=1 ¦ hydra.launcher=1 ¦ hydra/launcher=no ¦ hydra.job=3 ¦
hydra.mode=no ¦ hydra.verbose=[[
""".strip()
    .replace("¦\n", "¦ ")
    .split(" ¦ ")
)
FLAGS = (
    """
--{key} ¦ --{key}=1 ¦ --{key} 1 ¦ -{key} ¦ --cfg nonsense ¦ --cfg ¦ --cfg= ¦ -c x ¦ --package ¦ --config-dir ¦
--config-dir nowhere ¦ --config-dir= ¦ --config-name nowhere ¦ --config-name ¦ -cn x ¦ --no-such-flag ¦ --- ¦
-- ¦ -x ¦ --multirun=1 ¦ --run=2 ¦ --resolve ¦ --cfg job --cfg nonsense ¦ --cfg job --package nowhere.at.all ¦
--info nonsense ¦ --experimental-rerun nowhere ¦ --config-path nowhere
""".strip()
    .replace("¦\n", "¦ ")
    .split(" ¦ ")
)
NAMES = [
    "",
    " ",
    "\t",
    "\x01",
    "ü",
    "日本",
    "a" * 5000,
    "🙂",
    "\u202e",
    "..",
    "/",
    "%s",
    "{0}",
    "__class__",
    "\\n",
    "\x7f",
    "null",
    "-",
    "*",
]
PATHS = [
    "nowhere",
    "/nowhere/at/all",
    "/dev/null",
    "/proc/self/mem",
    ".",
    "..",
    "~nobody/x",
    "a" * 300,
    "x/../../..",
    "/nowhere\x01",
    "ü/ñ",
]


class Mistakes:
    """Command lines with at least one mistake each. `groups` have options; `settings` are of a kind: int, float, ..."""

    def __init__(self, seed: int, groups: dict[str, Sequence[str]], settings: dict[str, str]) -> None:
        self.random = random.Random(seed)
        self.groups, self.settings = groups, settings
        self.makers: list[Callable[[], list[str]]] = [
            self.misspelt, self.misspelt_group, self.misspelt_option, self.wrong_value, self.wrong_value, self.grammar,
            self.grammar, self.flag, self.odd_name, self.path, self.many, self.swept, self.twice,
        ]  # fmt: skip

    def lines(self, count: int) -> Iterator[list[str]]:
        """That many of them, each kind in its turn."""
        for number in range(count):
            yield self.makers[number % len(self.makers)]()

    def misspelt(self) -> list[str]:
        return [f"{self.spoilt(self.key())}={self.value()}"]

    def misspelt_group(self) -> list[str]:
        group = self.group()
        return [f"{self.spoilt(group)}={self.random.choice(self.groups[group])}"]

    def misspelt_option(self) -> list[str]:
        group = self.group()
        return [f"{group}={self.spoilt(self.random.choice(self.groups[group]))}"]

    def wrong_value(self) -> list[str]:
        key = self.key()
        return [f"{key}={self.random.choice(WRONG[self.settings[key]])}"]

    def grammar(self) -> list[str]:
        template = self.random.choice(GRAMMAR)
        return [template.format(key=self.random.choice([self.key(), self.group()]), value=self.value())]

    def flag(self) -> list[str]:
        key = self.random.choice([self.key(), self.group(), self.spoilt(self.key())]).replace("_", "-")
        return self.random.choice(FLAGS).format(key=key).split(" ")

    def odd_name(self) -> list[str]:
        name = self.random.choice(NAMES)
        return [self.random.choice([name, f"{name}=1", f"engine.{name}=1", f"dataset={name}", f"engine.steps={name}"])]

    def path(self) -> list[str]:
        path = self.random.choice(PATHS)
        key = self.random.choice(
            [
                "resume",
                "engine.resume",
                "dataset.source=file dataset.root",
                "--config-dir",
                "dataset=folder dataset.root",
            ]
        )
        return f"{key}={path}".split(" ") if " " not in path else [f"{key}={path}"]

    def many(self) -> list[str]:
        """Several mistakes at once."""
        makers = self.random.sample([self.misspelt, self.misspelt_option, self.wrong_value, self.grammar], 3)
        return [text for make in makers for text in make()]

    def swept(self) -> list[str]:
        """A mistake in one of a sweep's values."""
        key = self.key()
        texts = ["range(0,1000000000)", "range(5,1)", "range(1,2,0)", "interval(0,1)", "choice()", "shuffle("]
        texts += ["glob(z*)", f"1,{self.word()}", f"choice(1,{self.word()})", f"tag(a,1,2,{self.word()})"]
        keyed = [f"{key}={text}" for text in texts]
        group, wrong = self.group(), f"{self.word()},{self.word()}"
        values = self.random.choice([*keyed, f"{self.spoilt(key)}=1,2", f"{group}={wrong}", f"{group}=glob(zzz*)"])
        return [self.random.choice(["--multirun", "-m"]), values]

    def twice(self) -> list[str]:
        """A group chosen twice, or a mistake made twice."""
        group = self.group()
        first, second = self.random.choices(self.groups[group], k=2)
        wrong = self.wrong_value()
        return self.random.choice([[f"{group}={first}", f"{group}={self.spoilt(second)}"], [*wrong, *wrong]])

    def key(self) -> str:
        return self.random.choice(sorted(self.settings))

    def group(self) -> str:
        return self.random.choice(sorted(self.groups))

    def word(self) -> str:
        return "z" + "".join(self.random.choices(string.ascii_lowercase, k=5))

    def value(self) -> str:
        return self.random.choice(["1", "0.5", "true", "null", "abc", "[1,2]"])

    def spoilt(self, name: str) -> str:
        """The name with a slip of the finger in its last part."""
        head, dot, last = name.rpartition(".")
        place = self.random.randrange(len(last))
        letter = self.random.choice("qxz")
        slips = [last[:place] + letter + last[place:], last[:place] + letter + last[place + 1 :], last + letter]
        return head + dot + self.random.choice(slips)
