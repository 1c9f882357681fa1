"""What a paper takes from runs: the LaTeX table of a sweep, its curves over the seeds, and charts for print."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_sweep import make_run, page
from test_sweep_seeds import make_sweep

from vae_runner.cli import report
from vae_runner.errors import UserError
from vae_runner.report.printed.latex_table import escaped, latex_table
from vae_runner.report.sweep.jobs import read_sweep
from vae_runner.report.sweep.over_seeds import CURVES, mean_curve, series_of
from vae_runner.runs.read import find_runs

BETAS = {"2.0": [70.0, 65.5, 80.25], "8.0": [66.0, 71.0, 72.0], "16.0": [1000.0, 1200.0, 1100.0]}


def table_of(folder: Path, *columns: str, rank: str | None = None) -> list[list[str]]:
    """The cells of the table's lines, the head first."""
    text = latex_table(read_sweep(find_runs(folder), folder, rank), columns or None)
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert re.findall(r"\\(begin|end|toprule|midrule|bottomrule)", text) == [
        "begin", "toprule", "midrule", "bottomrule", "end",
    ]  # fmt: skip
    lines = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r"\\")]
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    assert {len(line) for line in lines} == {len(columns)}
    return lines


def test_the_latex_table_has_mean_and_spread_over_the_seeds_and_the_best_in_bold(tmp_path: Path) -> None:
    make_sweep(tmp_path, BETAS)
    head, *rows = table_of(tmp_path)
    assert head[:3] == ["beta", "Runs", "$-$ELBO"]
    means = {beta: (np.mean(values), np.std(values, ddof=1)) for beta, values in BETAS.items()}
    best = min(means, key=lambda beta: means[beta][0])
    for row, (beta, (middle, spread)) in zip(rows, means.items(), strict=True):
        text = rf"{middle:,.1f} \pm {spread:.1f}".replace(",", "{,}")
        assert row[:3] == [beta.removesuffix(".0"), "3", rf"$\mathbf{{{text}}}$" if beta == best else f"${text}$"]
        assert r"\mathbf" not in row[5]  # of the KL more is neither better nor worse


def test_scores_count_their_own_way_and_what_is_unknown_is_a_dash(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"2.0": [70.0, 65.0], "8.0": [66.0, 71.0]})
    for number, (mig, tc) in enumerate([(0.1, 5.0), (0.2, 7.0), (0.3, 8.0), (0.4, 9.0)]):
        found = {"mig": {"value": mig, "part": "test"}, "total_correlation": {"value": tc, "part": "test"}}
        (tmp_path / f"{number}-ab/evaluation.json").write_text(json.dumps(found))
    shown = ("mig", "total_correlation", "neg_elbo")
    head, two, eight = table_of(tmp_path, *shown)
    mig, tc = head.index("mig (test)"), head.index(r"total\_correlation (test)")
    assert [row[mig] for row in (two, eight)] == [r"$0.150 \pm 0.071$", r"$\mathbf{0.350 \pm 0.071}$"]
    assert [row[tc] for row in (two, eight)] == [r"$\mathbf{6.000 \pm 1.414}$", r"$8.500 \pm 0.707$"]
    (tmp_path / "3-ab/evaluation.json").unlink()
    assert table_of(tmp_path, *shown)[2][mig] == "--"


def test_a_table_is_of_the_test_images_where_there_are_some_or_has_the_columns_named(tmp_path: Path) -> None:
    make_sweep(tmp_path, {"2.0": [70.0, 65.0], "8.0": [66.0, 71.0]})
    assert table_of(tmp_path)[0][2:] == ["$-$ELBO", "Recon.", "KL", "Active"]
    for number in range(4):
        found = {"mig": {"value": number / 10, "part": "test"}, "sap": {"value": 0.5, "part": "train"}}
        (tmp_path / f"{number}-ab/evaluation.json").write_text(json.dumps(found))
        figures = {"neg_elbo": 60.0 + number, "recon": 40.0 + number, "kl": 20.0, "bits_per_dim": 0.02}
        with (tmp_path / f"{number}-ab/metrics.jsonl").open("a") as file:
            file.write(json.dumps({"split": "test", "step": 100, **figures}) + "\n")
    head, two, _ = table_of(tmp_path)
    assert head[2:] == ["Recon.", "KL", "mig"]  # what fits, of the test images
    assert two[2] == r"$\mathbf{40.5 \pm 0.7}$"
    sweep = read_sweep(find_runs(tmp_path), tmp_path)
    text = latex_table(sweep, ["mig", "kl_test"])
    assert r"beta & Runs & mig & KL \\" in text
    assert "% of the test images, nats per image, mean and" in text
    assert re.search("% not shown: .*neg_elbo_test.*sap_train; columns", text)
    assert r"& $66.5 \pm 0.7$ &" not in latex_table(sweep, ["neg_elbo"]).splitlines()[6]
    with pytest.raises(UserError, match=r"no figure called 'migg'\. Choices: .*mig_test"):
        latex_table(sweep, ["kl", "migg"])
    with pytest.raises(UserError, match=r"columns=\[\] names no figure"):
        latex_table(sweep, [])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX here")
@pytest.mark.parametrize("scores", [0, 9])
def test_latex_takes_the_table_and_it_is_as_wide_as_the_text(scores: int, tmp_path: Path) -> None:
    make_sweep(tmp_path, BETAS)
    for run in find_runs(tmp_path):
        found = {f"score_{number}": {"value": 0.123, "part": "test"} for number in range(scores)}
        (run / "evaluation.json").write_text(json.dumps({**found, "mig": {"value": 0.3, "part": "test"}}))
    (tmp_path / "table.tex").write_text(latex_table(read_sweep(find_runs(tmp_path), tmp_path)))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\noindent\input{table}\end{document}"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", document]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


def test_without_seeds_each_run_has_a_line_and_those_not_done_are_counted(tmp_path: Path) -> None:
    for number, beta in enumerate((1.0, 4.0)):
        make_run(tmp_path / str(number), 60 + number, config={"divergence": {"_target_": "b", "beta": beta}})
    make_run(tmp_path / "2", 50, state="failed", config={"divergence": {"_target_": "b", "beta": 9.0}})
    head, one, four = table_of(tmp_path)
    assert "Runs" not in head
    assert (one[0], one[1], four[1]) == ("1", r"$\mathbf{60.0}$", "$61.0$")
    assert "% left out: 1 of 3 runs, which are not done" in latex_table(read_sweep(find_runs(tmp_path), tmp_path))


def test_names_are_shown_as_they_are_by_latex() -> None:
    assert escaped(r"a_b 5% {x}&#$~^\<é") == (
        r"a\_b 5\% \{x\}\&\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}\textless{}?"
    )


def test_a_curve_over_the_seeds_is_their_mean_where_all_have_a_finite_figure() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 5))
    curves = [dict(zip((0, 50, 100, 150, 200), row.tolist(), strict=True)) for row in values]
    del curves[1][50]
    curves[2][150] = float("nan")
    kept = [0, 2, 4]
    steps, middle, spread = zip(*mean_curve(curves), strict=True)
    assert steps == (0, 100, 200)
    assert middle == pytest.approx(values.mean(0)[kept])
    assert spread == pytest.approx(values.std(0, ddof=1)[kept])
    long = [dict.fromkeys(range(10_001), 1.0)]
    assert 150 <= len(mean_curve(long)) <= 252
    assert mean_curve(long)[-1] == (10_000, 1.0, 0.0)


def test_the_page_draws_the_mean_of_each_setting_over_its_spread(tmp_path: Path) -> None:
    make_sweep(tmp_path, BETAS)
    shown = page(tmp_path)
    bands = [path for path in shown.all("path") if "band" in (path.attributes.get("class") or "").split()]
    assert len(bands) == 9  # three settings in three charts
    assert "beta=16 (3)" in shown.root.text
    make_sweep(tmp_path / "single", {"2.0": [70.0]})
    assert "Curves over the seeds" not in page(tmp_path / "single").root.text
    sweep = read_sweep(find_runs(tmp_path), tmp_path)
    one = series_of(CURVES[0], sweep.jobs[:1], "one")
    assert one.points
    assert not one.spread


@pytest.fixture
def vae_report(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        code = report.run([str(argument) for argument in arguments])
        output, errors = capsys.readouterr()
        return code, output.splitlines(), errors.splitlines()

    return call


def test_table_and_charts_are_files_beside_the_runs_or_where_they_are_wanted(vae_report, tmp_path: Path) -> None:
    make_sweep(tmp_path / "sweep", BETAS)
    assert vae_report(tmp_path / "sweep", "--latex") == (
        0,
        [str(tmp_path / "sweep/sweep.tex"), "not shown: bits_per_dim; columns=[...] chooses"],
        [],
    )
    code, files, _ = vae_report(tmp_path / "sweep", "format=pdf", "width=3in", "--out", tmp_path / "paper")
    assert (code, {Path(file).parent.name for file in files}) == (0, {"paper"})
    assert {"curves.pdf", "neg_elbo.pdf", "kl.pdf"} <= {Path(file).name for file in files}
    assert all(b"/MediaBox [0 0 216.000 " in Path(file).read_bytes() for file in files)
    run = tmp_path / "sweep/0-ab"
    matrix = {"value": 0.5, "part": "test", "matrix": [[0.1, 0.9], [0.4, 0.2], [0.0, 0.3]]}
    (run / "evaluation.json").write_text(json.dumps({"dci": matrix}))
    assert vae_report(run, "format=svg") == (0, [str(run / "figures/dci.svg")], [])
    assert b">0.90<" in (run / "figures/dci.svg").read_bytes()


@pytest.mark.parametrize(
    ("what", "arguments", "line"),
    [
        ("sweep", ["format=gif"], "format: expected one of png, pdf, svg, latex, got 'gif'"),
        ("sweep", ["format=latex", "width=84mm"], "width: for format=png, pdf and svg; a table in LaTeX has none"),
        ("sweep", ["format=pdf", "columns=[kl]"], "columns: for format=latex; charts have each"),
        ("sweep", ["--latex", "columns=[kll]"], "columns: no figure called 'kll'. Choices: neg_elbo, "),
        ("sweep", ["format=pdf", "width=84"], "width: expected a length such as 84mm"),
        ("sweep", ["dpi=0"], "dpi must be a number from 30 to 2,400, got '0'"),
        ("sweep", ["format=pdf", "rank=mig"], "rank=mig: no run has that score"),
        ("sweep/0-ab", ["--latex"], "format=latex is for several runs, and "),
        ("sweep/0-ab", ["format=pdf"], "nothing to draw in "),
        ("sweep/0-ab", ["format=pdf", "rank=mig"], "rank=mig is for several runs, and "),
    ],
)  # fmt: skip
def test_what_cannot_be_printed_is_told_in_one_line(
    vae_report, tmp_path: Path, what: str, arguments: list[str], line: str
) -> None:
    make_sweep(tmp_path / "sweep", {"2.0": [70.0, 65.0]})
    code, output, errors = vae_report(tmp_path / what, *arguments)
    assert (code, output, len(errors)) == (2, [], 1)
    assert errors[0].startswith(f"vae-report: error: {line}")
