"""Rules of the code as a whole."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ImageColor

from vae_runner.runs import names

PACKAGE = Path(__file__).parent.parent / "vae_runner"
# Each module imports only from those before it.
ORDER = [
    *("paths", "errors", "text", "foreign", "signature", "files", "randomness", "output", "runs", "drawing"),
    *(
        "state",
        "schedule",
        "ranks",
        "distributions",
        "divergence",
        "likelihood",
        "learned_prior",
        "latent_space",
        "latent_frame",
        "initialisation",
        "layers",
        "corruption",
        "augmentation",
    ),
    *("auto_encoder", "evaluation", "objective", "architectures", "datasets", "visualisation"),
    *("torch_file", "checkpoint", "report", "callbacks", "engine", "console", "experiment", "cli", "bench", "__main__"),
]
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """The dotted names of all modules that a file imports, at whatever place in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import"
            yield node.module or ""


def module_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file: Path) -> None:
    here = module_of(file)
    if here == "__init__":
        at_once = [node for node in ast.parse(file.read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert [node.module for node in at_once] == ["__future__"]
        return
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "vae_runner" and len(parts) > 1:
            assert ORDER.index(parts[1]) <= ORDER.index(here), f"{here} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_experiment_and_cli_know_hydra(file: Path) -> None:
    if module_of(file) not in ("experiment", "cli"):
        assert not {name.split(".")[0] for name in imports(file)} & {"hydra", "omegaconf"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_what_it_offers(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree)
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert "__all__" in names or file.name in ("__init__.py", "__main__.py")


def test_readme_names_the_rooms_in_the_order_of_their_imports() -> None:
    told = re.search(r"The modules, in the order .*?:(.*?)\.", (PACKAGE.parent / "README.md").read_text(), re.DOTALL)
    named = re.findall(r"`(\w+)`", told[1] if told else "")
    assert named == [module for module in ORDER if module in named]
    assert set(named) >= {module_of(file) for file in FILES if file.parent != PACKAGE}


def test_the_architecture_page_shows_every_room_in_order_and_names_tests_that_exist() -> None:
    page = (PACKAGE.parent / "docs/architecture.md").read_text()
    rows = [row for row in page.partition("\n## ")[0].splitlines() if row.startswith("| `")]
    rooms = [room for row in rows for room in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert rooms == [room for room in ORDER if room != "__main__"]
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert named
    assert not [name for name in named if f"def {name}(" not in tests]


def test_no_two_modules_share_a_name() -> None:
    found = [file.stem for file in FILES if file.stem not in ("base", "__init__", "__main__")]
    assert {name for name in found if found.count(name) > 1} == set()


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_neither_torch_nor_hydra(argument: str) -> None:
    code = (
        "import sys, vae_runner.cli as cli\n"
        f"assert cli.run([{argument!r}]) == 0\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("arguments", [["--help"], ["nowhere"], ["--version"]])
def test_mistakes_and_help_of_vae_evaluate_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom vae_runner.cli.evaluating import evaluate\n"
        f"evaluate.run({arguments!r})\n"
        "assert not {'torch', 'numpy', 'hydra', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


DRAWING = sorted((PACKAGE / "drawing").rglob("*.py"))
RUNS = sorted((PACKAGE / "runs").rglob("*.py"))
CLI = sorted((PACKAGE / "cli").rglob("*.py"))
DATASETS = sorted((PACKAGE / "datasets").rglob("*.py"))
EVALUATION = sorted((PACKAGE / "evaluation").rglob("*.py"))
SEEN = [file for room in ("drawing", "visualisation", "report") for file in sorted((PACKAGE / room).rglob("*.py"))]
EXAMPLES = {"datasets/reading/imaging.py"}  # whose message shows a user how to write a colour


def dotted(file: Path) -> str:
    return ".".join(["vae_runner", *file.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def test_the_chart_engine_is_small_and_knows_no_layout() -> None:
    engine = sorted((PACKAGE / "drawing/chart").glob("*.py"))
    assert 0 < sum(len(file.read_text().splitlines()) for file in engine) <= 450
    layouts = ("on_screen", "printing", "paper")
    for file in engine:
        assert not [name for name in imports(file) if set(name.split(".")) & set(layouts)], file.name


def test_drawing_knows_nothing_but_numpy_pillow_and_files() -> None:
    known = {"vae_runner.drawing", "vae_runner.errors", "vae_runner.files", "numpy", "PIL"}
    for file in DRAWING:
        for name in imports(file):
            parts = name.split(".")
            room = ".".join(parts[:2]) if parts[0] == "vae_runner" else parts[0]
            assert room in known or room in sys.stdlib_module_names, f"{file.name} imports {name}"


@pytest.mark.parametrize("room", ["drawing", "runs", "report"])
def test_what_draws_and_reports_runs_without_torch(room: str) -> None:
    modules = [dotted(file) for file in sorted((PACKAGE / room).rglob("*.py"))]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_and_a_mistake_import_neither_torchvision_nor_the_compiler() -> None:
    code = (
        "import sys, vae_runner, vae_runner.datasets, vae_runner.engine, vae_runner.experiment.run\n"
        "from vae_runner.cli import run\n"
        "assert run(['engine.steps=0', 'divergence=nothing']) == 2\n"
        "assert run(['optimizer.lrr=1']) == run(['distribution.dim=5', 'seed=0,1', '--multirun']) == 2\n"
        "assert not {'torchvision', 'torch._dynamo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


NAMES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
FOLDERS = {*names.FOLDERS, names.HISTORY, *names.LATEST_RUN.parts, *names.LATEST_SWEEP.parts}
SETTINGS = {
    "callbacks/loggers/board.py",
    "cli/judging/other_names.py",
    "experiment/checking/check.py",
    "experiment/saved_run/resume.py",
    "runs/settings.py",
}  # which name engine.tensorboard
SCREENS = {"HELP", "HEAD", "TAIL"}  # what --help prints


def said_by(node: ast.expr) -> str:
    """The text of a literal, with {} where an f-string has a value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(said_by, node.values))
    return "{}" if not isinstance(node, ast.Constant) else node.value if isinstance(node.value, str) else ""


def literals(tree: ast.AST) -> list[str]:
    """The texts in the code, without docstrings, help screens and the list of what a module offers."""
    left_out: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if {target.id for target in targets if isinstance(target, ast.Name)} & {*SCREENS, "__all__"}:
                left_out.update(ast.walk(node))
        elif isinstance(node, (ast.Expr, ast.JoinedStr)):  # a docstring; the parts of what is one text
            left_out.update(ast.iter_child_nodes(node))
    return [
        said_by(node)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node not in left_out
    ]


def file_names_in(tree: ast.AST) -> list[str]:
    """The texts that hold the name of a run's or a sweep's file, or begin with that of one of its folders."""
    files = "|".join(re.escape(name) for name in sorted(NAMES - FOLDERS, key=len, reverse=True))
    file = re.compile(rf"(?<![\w}}.-])(?:{files})(?![\w-]|\.\w)|\bcontact-\{{")
    return [text for text in literals(tree) if file.search(text) or text.split("/")[0] in FOLDERS]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_name_of_a_runs_file_is_written_in_one_module_alone(file: Path) -> None:
    name = file.relative_to(PACKAGE).as_posix()
    found = file_names_in(ast.parse(file.read_text()))
    if name == "runs/names.py":
        assert len(found) > 25  # the test sees what it is to find
    else:
        assert [text for text in found if not (name in SETTINGS and text == names.TENSORBOARD)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_pages_are_written_by_callbacks_and_programs(file: Path) -> None:
    """What runs an experiment knows the folder that is shared with the page, and not the page."""
    if module_of(file) not in ("report", "callbacks", "cli", "bench"):
        assert not [name for name in imports(file) if name.split(".")[:2] == ["vae_runner", "report"]]


def colours_in(tree: ast.AST) -> list[str]:
    """Colours that are written out: '#rrggbb' anywhere in a text, docstrings aside, and names that Pillow has."""
    nodes = list(ast.walk(tree))
    said = {node.value for node in nodes if isinstance(node, ast.Expr)}
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and node not in said]
    texts = [text for text in texts if isinstance(text, str)]
    found = [text for text in texts if re.search(r"(?<![&\w])#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})\b", text)]
    return found + [text for text in texts if text.lower() in ImageColor.colormap]


def triples_in(tree: ast.AST) -> list[str]:
    """(255, 0, 255) and the like, but not what three names are set to."""
    nodes = list(ast.walk(tree))
    unpacked = [node.value for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)]
    tuples = [node.elts for node in nodes if isinstance(node, ast.Tuple) and node not in unpacked]
    tuples = [elements for elements in tuples if len(elements) == 3]
    values = [[one.value for one in found if isinstance(one, ast.Constant)] for found in tuples]
    whole = [found for found in values if len(found) == 3 and all(type(value) is int for value in found)]
    return [str(found) for found in whole if 32 <= max(found) <= 255 and min(found) >= 0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_colour_is_written_in_the_palette_alone(file: Path) -> None:
    name = file.relative_to(PACKAGE).as_posix()
    tree = ast.parse(file.read_text())
    if name == "drawing/palette.py":
        assert len(colours_in(tree)) > 50  # the test sees what it is to find
    elif file in SEEN:
        assert not colours_in(tree) + triples_in(tree)
    elif name not in EXAMPLES:
        assert not [text for text in colours_in(tree) if "#" in text]


def test_the_style_sheet_has_its_colours_from_the_palette() -> None:
    from vae_runner.drawing.palette import PAGE_DARK, PAGE_LIGHT

    style = (PACKAGE / "report/style.css").read_text()
    values = re.findall(r":([^;{}]*);", style)
    assert values
    assert not [value for value in values if re.search(r"#[0-9a-fA-F]{3}|\b(?:rgb|hsl)a?\(", value)]
    assert not {word for value in values for word in re.findall(r"[a-z]+", value)} & set(ImageColor.colormap)
    own = {"own", "share"}  # of an element, set by its class or with it
    assert set(re.findall(r"var\(--(\w+)\)", style)) - own == set(PAGE_LIGHT)
    assert set(PAGE_DARK) == set(PAGE_LIGHT) - {"picture"}


CIRCULAR = {"distributions"}  # to become none


@pytest.mark.parametrize("room", sorted({module_of(file) for file in FILES if file.parent != PACKAGE} - CIRCULAR))
def test_no_module_imports_itself_by_way_of_others(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    names = {dotted(file) for file in files}
    needs = {dotted(file): set(imports(file)) & names - {dotted(file)} for file in files}
    while free := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in free}
    assert not needs, f"a circle: {needs}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 300
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert not [node.name for node in functions if node.end_lineno - node.lineno >= 40]


FULL = {"vae_runner": 20}  # modules that stand beside the rooms


def test_a_room_has_at_most_twelve_files() -> None:
    rooms = Counter(file.parent for file in FILES)
    assert not {room.name: count for room, count in rooms.items() if count > FULL.get(room.name, 12)}


# Of the data sets, each room imports only from those before it and from the modules that stand beside the rooms.
ROOMS = ["reading", "store", "arrays", "published", "photos", "sprites", "scenes", "split"]


@pytest.mark.parametrize("file", DATASETS, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_rooms_of_the_data_sets_import_one_way(file: Path) -> None:
    room = file.parent.name
    if room in ROOMS:
        needed = {name.split(".")[2] for name in imports(file) if name.startswith("vae_runner.datasets.")}
        assert not needed & set(ROOMS[ROOMS.index(room) + 1 :])


def test_the_rooms_of_the_data_sets_are_known() -> None:
    rooms = Counter(file.parent for file in DATASETS)
    assert {room.name for room in rooms} == {"datasets", *ROOMS}


def test_one_module_knows_what_lies_inside_hydra() -> None:
    knowing = [file.relative_to(PACKAGE).as_posix() for file in FILES if "hydra._internal" in file.read_text()]
    assert knowing == ["cli/hydra_compat.py"]


def test_what_decodes_asks_the_model_whose_spaces_turn_their_codes_first() -> None:
    asking = {file.name for file in PACKAGE.rglob("*.py") if ".decoder(" in file.read_text()}
    assert asking == {
        "auto_encoder.py",
        "chain.py",
        "peers.py",
    }  # shapes alone; another program
