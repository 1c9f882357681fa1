"""The user's own config files: a slip in one is told with the file and the line, in one line."""

from pathlib import Path

import pytest

from vae_runner import cli

HEAD = "# @package _global_\n"
NESTED = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
WRONG = {
    "engine:\n\tsteps: 3\n": ", line 3: there is a tab; YAML is indented by spaces",
    "engine:\n  steps: 3\n batch_size: 4\n": ", line 4: its indentation does not fit the lines before it",
    "engine: steps: 3\n": ", line 2: a colon, or an indentation, that does not fit the line before it",
    "engine:\n  steps: 3\n  steps: 4\n": ", line 4: steps is there twice",
    "- a\n": ", line 2: a config is made of lines such as NAME: VALUE",
    "hello\n": ", line 2: a config is made of lines such as NAME: VALUE",
    'seed: "abc\nengine: {}\n': ", line 2: it is not closed (while scanning a quoted scalar)",
    "seed: *nothing\n": ", line 2: found undefined alias 'nothing'",
    "seed: !!python/object/apply:os.system [ls]\n": ", line 2: could not determine a constructor for the tag",
    "seed: \x01\n": ", line 2: the character U+0001 has no place in YAML",
    "seed: ${\n": ": no viable alternative at input '${'",
    "1: 2\n": ", line 2: the name '1' is no text",
    "? \n: 2\n": ", line 2: the name '' is no text",
    NESTED: ": written out, it comes to 1,234,567,909 values; more than 10,000 are no config",
    "a: &a {b: *a}\n": ": written out, it comes to endlessly many values",
    f"a: {'[' * 300}{']' * 300}\n": ": values in values, 301 deep",
    f"a: {'[' * 3000}{']' * 3000}\n": ": values in values, more than 40 deep",
    f"a: [{'1, ' * 40_000}]\n": ": 120,026 bytes are too many for a config",
    "defaults: 3\n": ": Invalid defaults list in 'experiment/own', defaults must be a list (got int)",
}
BYTES = {
    HEAD.encode() + b"# so\nseed: 1  # f\xfcr mich\n": ", line 3: byte 0xfc is not UTF-8; save it as UTF-8",
    (HEAD + "seed: 1\n").encode("utf-16"): ": it is UTF-16; save it as UTF-8",
    (HEAD + "seed: 1\n").encode("utf-8-sig"): ", line 1: there is a byte order mark before the text",
    b"seed: 1\n": ", line 1: a preset begins with the line '# @package _global_'",
    b"": ", line 1: a preset begins with the line '# @package _global_'",
}


MISTAKES = {
    "experiment/own.yaml": {
        f"{HEAD}divergence:\n  betta: 4\n": "no setting called 'divergence.betta'. Did you mean "
        "divergence.beta? ({}, line 3)",
        f"{HEAD}seed: 1\nengine: {{steps: -3}}\n": "engine.steps must be positive, got -3 ({}, line 3)",
        f"{HEAD}sead: 1\n": "no setting called 'sead'. Did you mean seed? ({}, line 2)",
    },
    "divergence/own.yaml": {
        "_target_: vae_runner.divergence.beta_kl\nbeta: x\n": "divergence.beta: expected ({}, line 2)",
    },
}


@pytest.mark.parametrize(
    ("name", "text", "line"), [(name, *each) for name, texts in MISTAKES.items() for each in texts.items()]
)
def test_a_wrong_setting_in_ones_own_file_is_told_with_file_and_line(
    name: str, text: str, line: str, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = inside / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert cli.run(["--config-dir", "mine", f"{file.parent.name}=own"]) == 2
    (told,) = capfd.readouterr().err.splitlines()
    begun, _, place = line.format(f"mine/{name}").rpartition(" (")
    assert told.startswith(f"vae-train: error: {begun}")
    assert told.endswith(f" ({place}")


def test_a_wrong_setting_that_was_typed_is_not_blamed_on_a_file(
    inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (inside / "mine/experiment").mkdir(parents=True)
    (inside / "mine/experiment/own.yaml").write_text(f"{HEAD}engine: {{steps: 3}}\n")
    assert cli.run(["--config-dir", "mine", "experiment=own", "engine.steps=-1"]) == 2
    assert capfd.readouterr().err == "vae-train: error: engine.steps must be positive, got -1\n"


@pytest.mark.parametrize(
    ("data", "line"), [*((f"{HEAD}{text}".encode(), line) for text, line in WRONG.items()), *BYTES.items()]
)
def test_a_slip_in_ones_own_preset_is_told_with_file_and_line(
    data: bytes, line: str, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (inside / "mine/experiment").mkdir(parents=True)
    (inside / "mine/experiment/own.yaml").write_bytes(data)
    assert cli.run(["--config-dir", "mine", "experiment=own"]) == 2
    errors = capfd.readouterr().err
    assert errors.startswith(f"vae-train: error: mine/experiment/own.yaml{line}")
    assert errors.count("\n") == 1
    assert [path.name for path in inside.iterdir()] == ["mine"]
    assert cli.run(["--config-dir", "mine", "--help"]) == 0  # which lists it


def test_references_in_ones_own_preset_are_taken_where_they_are_few(
    inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (inside / "mine/experiment").mkdir(parents=True)
    (inside / "mine/experiment/own.yaml").write_text(HEAD + "seed: &n 7\nengine: {steps: *n}\n")
    assert cli.run(["--config-dir", "mine", "experiment=own", "--cfg", "job"]) == 0
    assert "seed: 7\n" in (output := capfd.readouterr().out)
    assert "  steps: 7\n" in output


CANNOT = "architecture.encoder._target_: cannot import 'part_{n}.Encoder': "
INDEXED = (
    "import torch\n\n\nclass Encoder(torch.nn.Module):\n    def __init__(self, image_shape):\n        image_shape[7]\n"
)
PARTS = {
    "class Encoder(\n": f"{CANNOT}SyntaxError: '(' was never closed (part_{{n}}.py, line 1)",
    "import math\nx = math.log(0)\n": f"{CANNOT}ValueError: math domain error (part_{{n}}.py, line 2)",
    "x = 1\n\nx.y\n": f"{CANNOT}AttributeError: 'int' object has no attribute 'y' (part_{{n}}.py, line 3)",
    "import nothing_such\n": f"{CANNOT}ModuleNotFoundError: No module named 'nothing_such' (part_{{n}}.py, line 1)",
    INDEXED: "part_{n}.Encoder: IndexError: list index out of range (part_{n}.py, line 6)",
}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PARTS)))
def test_an_error_in_ones_own_part_names_its_file_and_line(
    number: int, inside: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, line = list(PARTS.items())[number]
    (inside / "mine/architecture/encoder").mkdir(parents=True)
    (inside / "mine/architecture/encoder/own.yaml").write_text(f"_target_: part_{number}.Encoder\n")
    (inside / f"part_{number}.py").write_text(code)
    monkeypatch.syspath_prepend(str(inside))
    small = ["dataset.source=render", "dataset.limit=200", "dataset.validation=20", "visualisation=[]"]
    assert cli.run(["--config-dir", "mine", "architecture/encoder=own", *small]) == 2
    errors = capfd.readouterr().err
    assert errors.startswith(f"vae-train: error: {line.format(n=number)}")
    assert errors.count("\n") == 1
    assert not (inside / "outputs").exists()
