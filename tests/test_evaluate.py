"""`vae-evaluate`: a run's scores, in its folder and on the screen."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gridded import Squares

import vae_runner
from vae_runner.cli import run as vae_train
from vae_runner.cli.evaluating import evaluate
from vae_runner.cli.evaluating.score_lines import score_line
from vae_runner.datasets import TorchImages
from vae_runner.errors import UserError
from vae_runner.evaluation import mig, udr
from vae_runner.experiment.scoring import catalogue
from vae_runner.experiment.scoring.alike_runs import OF_SEEDS
from vae_runner.experiment.scoring.catalogue import CATALOGUE, DEFAULT
from vae_runner.experiment.scoring.subject import Settings, Subject
from vae_runner.foreign import read_json
from vae_runner.randomness import seed_for
from vae_runner.runs.names import EVALUATION, METRICS

TESTS = Path(__file__).parent
SMALL = ["divergence=beta", "engine.steps=8", "engine.batch_size=16", "engine.precision=fp32", "engine.device=cpu"]
SMALL += ["engine.progress=false", "visualisation=[]", "evaluation=none"]
OWN = ["trust=true", "engine.device=cpu", "samples=200", "k=4", "jobs=1"]
LIGHT = [name for name in DEFAULT if not name.startswith("dci_forest")]

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one setting, and a run of another."""
    base = tmp_path_factory.mktemp("runs")
    own = base / "own" / "dataset"
    own.mkdir(parents=True)
    (own / "squares.yaml").write_text(
        "# squares\n_target_: gridded.Squares\nvalidation: 20\nlimit: null\nsplit_seed: 0\n"
    )
    for name, settings in {"a": ["seed=0"], "b": ["seed=1"], "c": ["divergence.beta=9"]}.items():
        where = [f"--config-dir={base / 'own'}", "dataset=squares", f"hydra.run.dir={base / 'sweep' / name}"]
        assert vae_train([*SMALL, *where, *settings]) == 0
    return base / "sweep"


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose data set states no factors."""
    path = tmp_path_factory.mktemp("plain") / "run"
    assert vae_train([*SMALL, f"--config-dir={TESTS / 'conf'}", "dataset=toy", f"hydra.run.dir={path}"]) == 0
    return path


@pytest.fixture
def vae_evaluate(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        code = evaluate.run([*map(str, arguments)])
        output, errors = capfd.readouterr()
        return code, output.splitlines(), errors.splitlines()

    return call


def scores_of(folder: Path) -> dict:
    return json.loads((folder / EVALUATION).read_text())


def without_time(records: dict) -> dict:
    return {name: {key: value for key, value in one.items() if key != "seconds"} for name, one in records.items()}


@pytest.mark.slow
def test_every_score_is_written_printed_and_the_same_in_python(sweep: Path, vae_evaluate: Run) -> None:
    code, output, errors = vae_evaluate(sweep / "a", *OWN, f"score=[{','.join(LIGHT)}]")
    assert (code, errors) == (0, [])
    part = "validation part, 20 images, for there is no test part"
    assert f"best checkpoint, step 8; {part}; codes=mean, seed=0" in output[0]
    found = scores_of(sweep / "a")
    assert list(found) == LIGHT
    for name, record in found.items():
        assert any(line.split()[:1] == [name] for line in output), name
        assert {"value", "settings", "part", "images", "seed", "checkpoint", "step", "seconds", "version"} <= set(
            record
        )
        assert (record["part"], record["step"], record["seed"], record["checkpoint"]) == ("validation", 8, 0, "best")
        assert 1 <= record["images"] <= 20
    assert list(found["mig"]["per_factor"]) == ["gray", "x", "y"]
    assert np.array(found["mig"]["matrix"]).shape == (10, 3)
    run = vae_runner.load(sweep / "a", device="cpu", trust=True)
    same = run.evaluate(LIGHT, samples=200, k=4, jobs=1)
    assert json.loads(json.dumps(without_time(same))) == without_time(found)


@pytest.mark.slow
def test_a_score_is_that_of_the_codes_and_factors_of_its_part(sweep: Path) -> None:
    run = vae_runner.load(sweep / "a", device="cpu", trust=True)
    record = run.evaluate(["mig"], part="all", samples=300)["mig"]
    rows = np.random.default_rng(seed_for(0, "evaluation/mig")).integers(48, size=300)
    data = Squares()
    codes = run.encode(data.gather(torch.from_numpy(rows)))
    expected = mig(codes, data.grid.classes_of(torch.from_numpy(rows))[:, 1:])
    assert record["value"] == pytest.approx(expected.value, rel=1e-6)
    assert [*record["per_factor"].values()] == pytest.approx(expected.per_factor, rel=1e-6)
    held = set(run.data[1].indices.tolist())
    subject = Subject(run, Settings(samples=500))
    fitted, judged = subject.two_rows("sap")
    assert not set(fitted) & set(judged)
    assert {tuple(row) for row in subject.factors(np.concatenate([fitted, judged])).tolist()} == {
        tuple(row) for row in data.grid.classes_of(torch.tensor(sorted(held)))[:, 1:].tolist()
    }


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["mean", "sample"])
def test_a_score_is_the_same_whatever_else_is_computed(sweep: Path, codes: str) -> None:
    run = vae_runner.load(sweep / "a", device="cpu", trust=True)
    names = ["prior_match", "irs", "log_px", "factor_vae"]
    together = run.evaluate(["mig", *names], samples=100, codes=codes, k=2)
    for name in names:
        alone = vae_runner.load(sweep / "a", device="cpu", trust=True).evaluate([name], samples=100, codes=codes, k=2)
        assert without_time(alone)[name] == without_time(together)[name]
    other = run.evaluate(["irs"], samples=100, codes=codes, seed=1)["irs"]
    assert other["value"] != together["irs"]["value"]


@pytest.mark.slow
def test_log_p_of_many_samples_is_made_in_what_the_run_was_trained_in(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, found = vae_runner.load(sweep / "a", device="cpu", trust=True), {}
    for precision in ("fp32", "bf16"):
        monkeypatch.setattr(catalogue, "choose_precision", lambda name, device, precision=precision: precision)
        for k in (catalogue.MANY - 1, catalogue.MANY):
            found[precision, k] = run.evaluate(["log_px"], samples=40, k=k)["log_px"]
    assert {key for key, one in found.items() if "corrected_by" in one["settings"]} == {("bf16", catalogue.MANY)}
    few, many = (
        tuple(found[precision, k] for precision in ("fp32", "bf16")) for k in (catalogue.MANY - 1, catalogue.MANY)
    )
    assert few[0]["value"] == few[1]["value"]
    assert many[0]["value"] != many[1]["value"]
    assert many[0]["value"] == pytest.approx(many[1]["value"], abs=0.1)


@pytest.mark.slow
def test_a_part_that_the_run_has_not_is_told_in_a_line(sweep: Path, vae_evaluate: Run) -> None:
    code, output, errors = vae_evaluate(sweep / "a", *OWN, "part=test", "score=active_units")
    line = "part=test: the run has set no images aside for it; part=validation has some"
    assert (code, output, errors) == (2, [], [f"vae-evaluate: error: {line}"])


@pytest.mark.slow
def test_rate_and_distortion_are_those_of_the_runs_own_validation(sweep: Path) -> None:
    record = vae_runner.load(sweep / "a", device="cpu", trust=True).evaluate(["rate_distortion"])["rate_distortion"]
    lines = [json.loads(line) for line in (sweep / "a" / METRICS).read_text().splitlines()]
    noted = [line for line in lines if "neg_elbo" in line and line["step"] == 8][-1]
    assert record["others"]["rate"] == pytest.approx(noted["kl"], rel=1e-4)
    assert record["per_latent"] == pytest.approx(noted["kl_dims"], rel=1e-3, abs=1e-5)
    assert record["others"]["distortion"] == pytest.approx(noted["recon"], abs=5 * record["others"]["error"])


@pytest.mark.slow
def test_without_factors_scores_that_need_them_are_named_in_a_line(plain_run: Path, vae_evaluate: Run) -> None:
    code, output, errors = vae_evaluate(plain_run, *OWN, "score=[mig,sap,wasserstein,reconstruction]")
    assert (code, errors) == (0, [])
    assert output[-1] == "  left out: mig, sap: needs factors, and the data set states none"
    assert list(scores_of(plain_run)) == ["wasserstein", "reconstruction"]
    assert vae_evaluate(plain_run, *OWN, "score=mig")[0] == 1  # nothing is there that was asked for
    vae_evaluate(plain_run, *OWN, "score=[wasserstein]", "seed=3")
    assert [one["seed"] for one in scores_of(plain_run).values()] == [3, 0]  # the others stay


@pytest.mark.slow
def test_seeds_of_one_setting_are_compared_and_others_are_not(sweep: Path, vae_evaluate: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shutil.copytree(sweep, folder)
    (folder / "d").mkdir()
    shutil.copy(folder / "c" / "config.yaml", folder / "d")  # a run without a checkpoint
    code, _, errors = vae_evaluate(folder, *OWN, "score=[wasserstein,udr,udr_spearman]")
    assert code == 1
    assert len(errors) == 1
    assert "d: " in errors[0]
    assert all("wasserstein" in scores_of(folder / name) for name in "abc")
    assert ["udr" in scores_of(folder / name) for name in "abc"] == [True, True, False]
    runs = [vae_runner.load(folder / name, device="cpu", trust=True) for name in "ab"]
    rows = Subject(runs[0], Settings(samples=200)).rows("udr")
    images = runs[0].data[1].batch(torch.from_numpy(rows))
    kls = []
    for run in runs:
        q = run.model.posteriors(images)[0]
        kls.append(((q.mean.square() + q.variance - 1 - q.variance.log()) / 2).mean(0).numpy())
    expected = udr([run.encode(images) for run in runs], kls, "spearman")
    found = [scores_of(folder / name)["udr_spearman"]["value"] for name in "ab"]
    assert found == pytest.approx([one.value for one in expected], rel=1e-5, abs=1e-9)
    alone = vae_evaluate(folder / "a", *OWN, "score=udr")
    assert alone[1][-1] == "  left out: udr: compares runs that differ in their seed alone; give their folders"


@pytest.mark.slow
def test_a_run_without_scikit_learn_gets_what_needs_none(
    sweep: Path, vae_evaluate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    code, output, _ = vae_evaluate(sweep / "c", *OWN, "score=[mig,irs]")
    assert code == 0
    assert output[-1] == "  left out: mig: this score needs scikit-learn: pip install 'vae_runner[evaluate]'"
    assert list(scores_of(sweep / "c")) == ["irs"]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["which runs? vae-evaluate outputs/latest; --help says more"]),
        (["nowhere"], ["no folder nowhere; give that of a run"]),
        (["."], ["no runs in .: none of its folders has a config.yaml"]),
        ([".", "score=migg"], ["no runs in .: none of its folders has a config.yaml"]),
        ([".", "part=best"], ["part: expected one of test, validation, train, all, got 'best'"]),
        ([".", "checkpoint=first"], ["checkpoint: expected one of best, last, previous, got 'first'"]),
        ([".", "codes=mode", "samples=many"],
         ["codes: expected one of mean, sample, got 'mode'", "samples: expected a whole number, got 'many'"]),
        ([".", "--out"],
         ["no option called '--out'; settings are written without dashes: NAME=VALUE (see vae-evaluate --help)"]),
        ([".", "dataset.root="], ["dataset.root: expected a folder, got ''"]),
        ([".", "divergence=beta"],
         ["divergence cannot be set: a run is scored as it is (score, checkpoint, part, codes, engine.device, trust, "
          "samples, k, seed, jobs, dataset, dataset.root, evaluation.inception, rank)."]),
        ([".", "evaluation.inception=x.pt"], ["evaluation.inception: expected a file, got 'x.pt'"]),
        ([".", "dataset=a,b"], ["dataset takes one data set, got a,b"]),
        ([".", "dataset=a", "dataset=b"], ["dataset takes one data set, got a, b"]),
        ([".", "--config-dir", "x"], ["--config-dir is for another data set; name it: dataset=OPTION"]),
        ([".", "dataset.limit=9"], ["dataset.limit is for another data set; name it: dataset=OPTION"]),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_each(vae_evaluate: Run, arguments: list[str], lines: list[str], inside: Path) -> None:
    assert vae_evaluate(*arguments) == (2, [], [f"vae-evaluate: error: {line}" for line in lines])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["score=[mig,dcci]"], "no score called 'dcci'. Did you mean dci? Choices: mig, rmig"),
        (["score=[]"], "score=[] names no score. Choices: mig, rmig"),
        (["samples=0"], "samples must be positive, got 0"),
        (["rank=migg"], "rank=migg: no score called 'migg'. Did you mean mig? Choices: mig, rmig"),
        (["rank=mig"], "rank=mig is for folders of several runs"),
        (["k=-1"], "k must be positive, got -1"),
    ],
)
def test_a_score_or_a_number_that_is_none_is_told_before_a_run_is_loaded(
    vae_evaluate: Run, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "config.yaml").touch()
    code, output, errors = vae_evaluate(tmp_path, *arguments)
    assert (code, output, len(errors)) == (2, [], 1)
    assert errors[0].startswith(f"vae-evaluate: error: {line}")
    assert read_json(tmp_path / EVALUATION) == {}


@pytest.mark.slow
def test_a_run_is_scored_on_another_data_set_beside_its_own(sweep: Path, vae_evaluate: Run, tmp_path: Path) -> None:
    shutil.copytree(sweep / "a", tmp_path / "a")
    other = ["dataset=squares", "dataset.split_seed=3", "dataset.validation=30", f"--config-dir={sweep.parent / 'own'}"]
    assert vae_evaluate(tmp_path / "a", *OWN, "score=wasserstein")[0] == 0
    code, output, _ = vae_evaluate(tmp_path / "a", *OWN, "score=[mig,wasserstein]", *other)
    assert code == 0
    assert "validation part of squares, 30 images" in output[0]
    found = scores_of(tmp_path / "a")
    assert {"wasserstein", "mig@squares", "wasserstein@squares"} <= set(found)
    assert found["wasserstein"]["value"] != found["wasserstein@squares"]["value"]
    assert (found["wasserstein"]["data"]["name"], found["mig@squares"]["data"]["name"]) == ("squares", "squares")
    page = (tmp_path / "a" / "report.html").read_text()
    assert "<h2>Scores</h2>" in page
    assert "<h2>Scores on squares</h2>" in page
    vae_evaluate(tmp_path / "a", *OWN, "score=mig", "part=all", *other)
    run = vae_runner.load(tmp_path / "a", device="cpu", trust=True)
    in_python = run.evaluate("mig", samples=200, dataset=Squares())
    assert in_python["mig@Squares"]["value"] == scores_of(tmp_path / "a")["mig@squares"]["value"]
    assert in_python["mig@Squares"]["images"] == 48
    with pytest.raises(
        UserError, match=r"^dataset=TorchImages has images of 1x8x8, and the model of the run takes 1x16x16$"
    ):
        run.evaluate("mig", dataset=TorchImages([torch.zeros(1, 8, 8)] * 3))
    code, output, errors = vae_evaluate(tmp_path / "a", *OWN, "score=mig", "dataset=dsprites")
    assert (code, output) == (2, [])
    line = "dataset=dsprites has images of 1x64x64, and the model of the run takes 1x16x16"
    assert errors[-1] == f"vae-evaluate: error: {line}"
    code, output, errors = vae_evaluate(tmp_path / "a", *OWN, "score=mig", "dataset=dsprits", "dataset.x=1")
    assert (code, output) == (2, [])
    assert "dsprits" in errors[0]


def test_counts_are_whole_and_figures_as_fine_as_they_are_large() -> None:
    made = {"part": "train", "images": 2000, "seconds": 4.21}
    line = score_line("active_units", {"value": 7.0, **made})
    assert line.split() == ["active_units", "7", "latents", "[train,", "2,000", "images,", "4.2", "s]"]
    assert score_line("active_units", {"value": 1.0, **made}).split()[:3] == ["active_units", "1", "latent"]
    others = {"effective": 2.4, "psnr_error": 1.0, "latent3/mean": 0.1, "rate": 0.5}
    line = score_line("log_px", {"value": -1226.61, "others": others, **made})
    assert line.split()[:6] == ["log_px", "-1,226.6", "nats", "effective", "2,", "rate"]
    assert "psnr_error" not in line
    assert "latent3" not in line


def test_the_help_and_the_docs_name_every_score(vae_evaluate: Run) -> None:
    code, output, _ = vae_evaluate("--help")
    assert code == 0
    words = set(" ".join(output).replace(",", " ").split())
    page = (TESTS.parent / "docs/evaluation.md").read_text()
    for name in [*CATALOGUE, *OF_SEEDS]:
        assert name in words
        assert f"`{name}`" in page
