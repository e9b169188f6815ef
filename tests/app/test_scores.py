"""The commands that measure trained models, as a user types them."""

import dataclasses
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.app import figures, plots
from genart_jax.app.cli import main
from genart_jax.app.histories import Line, aligned, comparable, lines_of, names_of, read_history
from genart_jax.app.report import report
from genart_jax.evaluate.scores import Score, read_scores
from tests.data.test_idx import write

FAST = ["--preset", "tiny", "--steps", "2", "--parallel.data", "1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, brief_run):
    """A GAN, a VAE and a classifier, of two steps, and a VAE of a few little pictures."""
    root = tmp_path_factory.mktemp("runs")
    write(root / "digits", size=(16, 16), classes=3)
    assert main(["train", "conv_vae", "--run", str(root / "little"), "--data", f"idx:{root / 'digits'}", *FAST]) == 0
    for name in ("dcgan", "conv_vae", "simple_cnn"):
        brief_run(name, root / name)
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENART_CACHE", str(tmp_path / "cache"))


def test_evaluate_compare_and_plot(runs, capsys):
    gan, vae = str(runs / "dcgan"), str(runs / "conv_vae")
    assert main(["evaluate", vae, "--extractor", "pixels:4", "--num", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] == 754
    assert {s["name"] for s in found["scores"]} >= {"fd_pixels_4", "kd_pixels_4", "precision_pixels_4"}
    judge = ["--classifier", str(runs / "simple_cnn")]
    assert main(["evaluate", gan, "--extractor", "pixels:4", "--num", "40", *judge]) == 0
    out = capsys.readouterr().out
    # A score like the others: with the classifier's sum, and a floor, which is its share of real pictures.
    assert re.search(r"^40 generated \(.*\); simple_cnn_style [0-9a-f]{8} at 32x32", out, re.M)
    assert re.search(r"^accuracy_simple_cnn_style +\S+ +\S+ +0\.\S+ +higher +\+-: binomial; balanced 0", out, re.M)
    contract = r"^40 generated \(.*\) vs 40 real \(emoji, train\); pixels_4 .*antialiased"
    assert len(re.findall(contract, out, re.M)) == 1  # once, not in every line
    assert re.search(r"^score +value +\+- +floor +better$", out, re.M)
    assert re.search(r"^fd_pixels_4 +\S+ +\S+ +\S+ +lower +\+-: bootstrap", out, re.M)
    assert re.search(r"^precision_pixels_4 +\S+ +\S+ +higher", out, re.M)
    assert re.search(r"^caution, fd_pixels_4: 40 pictures in 48 dimensions", out, re.M)
    assert main(["compare", gan, vae]) == 0
    out = capsys.readouterr().out
    assert "fd_pixels_4" in out
    assert "accuracy" not in out
    assert "by more than chance" in out
    assert main(["compare", gan, vae, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["entries"][0]["label"] == gan
    assert main(["plot", gan, vae, "--out", "both"]) == 0
    files = capsys.readouterr().out.split()
    assert {"both/losses.png", "both/scores.png", "both/samples_0.png"} <= {*files}
    assert files[-1] == "both/report.html"


def test_scores_of_an_earlier_checkpoint(tmp_path, capsys):
    """They are of that state, and lie beside the newest's as a curve over steps."""
    assert main(["train", "dcgan", "--run", "gan", *FAST, "--train.save-every", "1"]) == 0
    score = ["evaluate", "gan", "--extractor", "pixels:4", "--num", "40"]
    assert main([*score, "--step", "1"]) == main(score) == 0
    found = {s.model["step"]: s for s in read_scores("gan") if s.name == "fd_pixels_4"}
    again = {s.name: s for s in ga.score_run(ga.load("gan", 1), "pixels:4", 40)}["fd_pixels_4"]
    assert [*found] == [1, 2]
    assert found[1].value == again.value != found[2].value
    assert [found[i].model["state"] for i in (1, 2)] == [ga.load("gan", i).sha256 for i in (1, 2)]
    assert "scores_over_steps" in [drawn.name for drawn in figures.draw(lines_of(["gan"]))]
    capsys.readouterr()
    mistakes = {"7": "no checkpoint of step 7", "best": "train it with --train.best", "old": "a number or"}
    for step, words in mistakes.items():
        assert main([*score, "--step", step]) == 2
        assert words in capsys.readouterr().err


def test_scores_of_other_contracts_are_refused(runs, capsys, tmp_path):
    assert main(["evaluate", str(runs / "dcgan"), "--extractor", "pixels:3", "--num", "41"]) == 0
    capsys.readouterr()
    both = [str(shutil.copytree(runs / "dcgan", tmp_path / name)) for name in ("a", "b")]
    scores = json.loads((runs / "dcgan" / "scores.json").read_text())
    other = [s | {"contract": s["contract"] | {"num_real": 42, "num_fake": 42}} for s in scores]
    for run, found in zip(both, (scores, other), strict=True):
        (Path(run) / "scores.json").write_text(json.dumps([s for s in found if "pixels_3" in s["name"]]))
    assert main(["compare", *both]) == 2
    assert "num_real 41 and 42, num_fake 41 and 42" in capsys.readouterr().err
    assert main(["compare", *both, "--allow", "num_real", "num_fake"]) == 0


def test_without_weights_the_own_figures_stay(runs, capsys):
    assert main(["evaluate", str(runs / "conv_vae")]) == 0
    captured = capsys.readouterr()
    assert "bits_per_dim" in captured.out
    assert "fd_" not in captured.out
    assert "genart assets fetch" in captured.err
    assert main(["evaluate", str(runs / "conv_vae"), "--extractor", "lite0"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1  # before the work begins


def test_originality(runs, capsys):
    run = str(runs / "little")
    assert main(["originality", run, "--num", "12", "--extractor", "none", "--shown", "2"]) == 0
    out = capsys.readouterr().out
    assert "three_sample_z" in out
    (line, *_) = (line for line in out.splitlines() if line.split()[:1] == ["authenticity"])
    assert "+-" in line
    assert "no near copies" in line
    assert "membership by elbo" in out
    assert out.strip().endswith("originality.png")
    assert main(["originality", run, "--num", "0"]) == 2


def test_the_figures_and_the_page(runs, tmp_path):
    *files, page = plots.write([runs / "dcgan", runs / "simple_cnn"], tmp_path / "new", ("svg",))
    assert {path.suffix for path in files} == {".svg"}
    assert "critic_loss" in (tmp_path / "new" / "losses.svg").read_text()  # letters stay letters
    text = page.read_text()
    assert not re.search(r"(src|href)=(?![\"']data:)", text)  # nothing from elsewhere
    assert text.count("data:image/png;base64,") >= 2
    assert text.count("<h1>") == 1
    assert "prefers-color-scheme:dark" in text
    assert re.search(r'<img alt="losses" width="\d+"', text)
    assert text.count(f"<h2>{runs / 'dcgan'}</h2>") == 1
    kinds = figures.kinds(names_of(lines_of([runs / "dcgan"])))
    assert "generator_loss" in kinds["losses"]
    assert all("norm" in name for name in kinds["norms"])


def test_samples_keep_their_pixels(runs, tmp_path):
    grid = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    grid.save(tmp_path / "grid.png")
    run = read_history(runs / "dcgan")._replace(grids=[(i, tmp_path / "grid.png") for i in range(7)])
    drawn = next(one for one in figures.draw([Line("run", [run])]) if one.name == "samples")
    figures.write_caption(drawn)
    assert plots.rendered(drawn, "pdf").startswith(b"%PDF")
    seen, wanted = np.asarray(Image.open(io.BytesIO(plots.rendered(drawn, "png"))).convert("RGB")), np.asarray(grid)
    corners = np.argwhere(np.all(seen[:-39, :-49] == wanted[0, 0], axis=-1))
    assert sum(np.array_equal(seen[y : y + 40, x : x + 50], wanted) for y, x in corners) == 5


def test_seeds_are_one_line_with_a_band(runs, tmp_path):
    """Runs that differ by their seed, and the members of a setting of a sweep; a line has one colour everywhere."""
    write(tmp_path / "digits", size=(16, 16), classes=3)
    sweep = ["--sweep.seeds", "2", "--sweep.optimizer.learning-rate", "1e-3,1e-2", "--train.log-every", "1"]
    source = ["--data", f"idx:{tmp_path / 'digits'}"]
    assert main(["train", "mlp_vae", "--run", str(tmp_path / "sweep"), *source, *FAST, *sweep]) == 0
    lines = lines_of([tmp_path / "sweep"])
    assert [len(line.members) for line in lines] == [2, 2]
    assert lines[1].label == "learning_rate 0.01"
    steps, values = aligned(lines[0], "loss")
    assert (steps.tolist(), values.shape) == ([1, 2], (2, 2))
    drawn = {one.name: one for one in figures.draw(lines)}
    (panel, *_) = drawn["losses"].figure.axes
    assert len(panel.collections) == 2  # a band each
    shades = {line.get_color() for line in panel.lines}
    assert shades == {figures.COLOURS[0], figures.COLOURS[1]}
    assert {line.get_color() for line in drawn["test"].figure.axes[0].lines} >= shades
    assert "seeds" in drawn["losses"].caption


def test_an_interval_is_students():
    mean, reach = figures.interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, round(reach, 3)) == (2.0, 2.484)  # t of 2 degrees of freedom, 4.303, over the root of 3
    assert figures.interval(np.array([1.0])) == (1.0, 0.0)


def test_the_page_takes_no_summary_of_another_state(tmp_path):
    """As that of a run that goes on, or of other options in this place."""
    run = ga.fit(
        ga.configure("tests.train.toy:Config", data={"source": "emoji"}, parallel={"data": 1}), tmp_path / "run"
    )
    page = lambda: report([read_history(run)], [])
    assert "<td>test loss</td>" in page()
    whole = json.loads((run / "summary.json").read_text())
    for changes in ({"step": 3}, {"id": "another"}):
        (run / "summary.json").write_text(json.dumps(whole | changes))
        assert "<td>test loss</td>" not in page()
    del whole["id"]  # as an earlier version has written it
    (run / "summary.json").write_text(json.dumps(whole))
    assert "<td>test loss</td>" in page()


def test_scores_over_steps_and_other_contracts(runs, tmp_path):
    """Curves are made of scores with one contract alone, and the page says each contract once."""
    contract = {
        "extractor": "x", "weights": "", "image_size": [4, 4], "resize": "none", "data": "d", "fingerprint": "f",
        "split": "train", "num_real": 5, "num_fake": 5, "conditions": "all", "ema": True,
    }  # fmt: skip
    score = lambda step, value, **changes: Score(
        "fd_x", value, 0.1, "", contract | changes, {"samples": 0}, {"step": step, "conditions": []}, better="lower"
    )
    one = read_history(runs / "dcgan")._replace(scores=[score(20, 2.0), score(10, 3.0), score(10, 3.5)])
    two = one._replace(label="two", scores=[score(20, 9.0, num_fake=6), score(20, 1.0)])
    found = comparable([one, two])["fd_x"]
    assert [[s.value for s in run] for run in found] == [[3.5, 2.0], [1.0]]
    page = report([one, two], [])
    assert page.count("5 generated (seed 0, EMA, unconditional)") == 1
    assert page.count('class="contract"') == 2
    lines = [Line("one", [one]), Line("two", [two])]
    names = [drawn.name for drawn in figures.draw(lines)]
    assert {"scores", "scores_over_steps"} <= {*names}
    many = [dataclasses.replace(score(20, 2.0), name=f"a_score_with_a_long_name_{i}") for i in range(15)]
    Image.new("RGB", (524, 524)).save(tmp_path / "grid.png")
    grids = [(i, tmp_path / "grid.png") for i in range(5)]
    # What does not fit is a warning, and so an error here.
    for drawn in figures.draw([Line(run.label, [run._replace(scores=many, grids=grids)]) for run in (one, two)]):
        if drawn.name.startswith(("sample", "score")):
            figures.write_caption(drawn)
            plots.rendered(drawn, "png")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["compare", "a"], "at least two"),
        (["compare", "a", "b"], "a is not a run"),
        (["compare", "icons", "icons_vae"], "icons has no scores"),
        (["plot"], "needs a run first"),
        (["plot", "nowhere"], "is not a run"),
        (["plot", "icons"], "without the log of its training, so there is nothing to plot"),
        (["plot", "nowhere", "--out", "x.png"], "name a folder"),
        (["plot", "nowhere", "--format", "gif"], "png, svg, pdf"),
        (["originality", "nowhere"], "is not a run"),
        (["evaluate", "nowhere"], "is not a run"),
    ],
)
def test_mistakes(args, words, capsys):
    assert main(args) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert message.startswith("genart: ")
    assert "\n" not in message


def test_scores_say_how_long_they_will_take(runs, capsys, monkeypatch, tmp_path):
    from genart_jax.evaluate import duration

    monkeypatch.setenv("GENART_CACHE", str(tmp_path))  # features that are there take no time
    seconds = iter([2.0, 250.0, 2.0, 250.0])
    monkeypatch.setattr(duration, "_WORTH_IT", 40)
    monkeypatch.setattr(duration, "_twice", lambda work: (work(), next(seconds)))
    assert main(["evaluate", str(runs / "dcgan"), "--extractor", "pixels:4", "--num", "40"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("on cpu, ")
    # 2 s for 64 drawn, 250 s for 500 seen, here of 40 generated and 80 real ones.
    assert "pixels_4 sees 40 generated and 80 real pictures, at most about 1:01 ..." in err
    assert main(["evaluate", str(runs / "dcgan"), "--extractor", "pixels:4", "--num", "40"]) == 0
    assert "and 80 real pictures, at most about 0:21 ..." in capsys.readouterr().err
