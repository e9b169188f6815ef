"""People judge: what is asked is blind and balanced, and the report says what they said."""

import contextlib
import csv
import json
import threading
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from genart_jax.app import cli
from genart_jax.app.judge import items, report, server
from genart_jax.app.judge.plan import EVERY, Question, questions
from genart_jax.app.judge.votes import Vote, Votes
from genart_jax.app.studio import serve
from genart_jax.app.studio.limits import Limits
from genart_jax.config import UserError
from tests.studio.client import TOKEN, Studio, until


@pytest.fixture
def folders(tmp_path):
    """Two folders of pictures, dark and bright, whose names and metadata say which."""
    for name, level in (("dark", 40), ("bright", 200)):
        (tmp_path / name).mkdir()
        for i in range(9):
            pixels = np.random.default_rng(i).integers(0, 50, (16, 16, 3)) + level
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{name}{i}.png", comment=name)
    return [str(tmp_path / name) for name in ("dark", "bright")]


@contextlib.contextmanager
def judging(folder, names, ask="pairs", experts=(), invited=()):
    votes = Votes(folder)
    prepared = items.prepare(folder, names, 9, 0)
    with serve.listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        app = server.create(prepared, votes, ask, experts, ("127.0.0.1",), port, TOKEN, invited)
        runs = serve.server_of(app, Limits())
        thread = threading.Thread(target=runs.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        until(lambda: runs.started)
        studio = Studio(port, folder)
        studio.votes, studio.tokens = votes, app.tokens
        try:
            yield studio
        finally:
            runs.should_exit = True
            thread.join(10)
            votes.close()


def asked(studio, judge):
    return json.loads(studio.ask("POST", "/api/next", {"judge": judge}).body)


def bright(studio, judge, number, side):
    content = studio.ask("GET", f"/api/pictures/{judge}/{number}/{side}").body
    (studio.folder / "x.png").write_bytes(content)
    return np.asarray(Image.open(studio.folder / "x.png")).mean()


def test_pairs_are_balanced():
    for judge in ("a", "b"):
        plan = questions(judge, "pairs", 3, 12)
        real = [q for q in plan if not q.broken]
        assert len(real) == 36
        assert len({frozenset((q.left, q.right)) for q in real}) == 36
        assert all(q.left[1] == q.right[1] for q in real)
        sides = Counter((q.left[0], q.right[0]) for q in real)
        assert set(sides.values()) == {6}
        for start in range(0, 36, 3):  # a round
            assert len({frozenset((q.left[0], q.right[0])) for q in real[start : start + 3]}) == 3
        assert [i for i, q in enumerate(plan) if q.broken] == list(range(EVERY, len(plan), EVERY + 1))
    assert questions("a", "pairs", 3, 12) == questions("a", "pairs", 3, 12) != questions("b", "pairs", 3, 12)


def test_blind(tmp_path, folders):
    """Nothing but the pixels says where a picture is from, and the two of a check differ."""
    with judging(tmp_path / "kept", folders) as studio:
        first = asked(studio, "ann")
        assert first == {**first, "ask": "pairs", "number": 0, "sides": ["left", "right"]}
        text = json.dumps(first)
        for side in first["sides"]:
            answer = studio.ask("GET", f"/api/pictures/ann/0/{side}")
            text += answer.body.decode("latin-1") + str(answer.headers)
        assert "dark" not in text
        assert "bright" not in text
        left, right = (studio.ask("GET", f"/api/pictures/ann/{EVERY}/{side}").body for side in ("left", "right"))
        assert left != right


def test_from_votes_to_a_report(tmp_path, folders, capsys, monkeypatch):
    """Ann and Eve prefer bright ones; Bob sleeps, fails the checks, and does not count."""
    monkeypatch.chdir(tmp_path)
    with judging(tmp_path / "kept", folders, experts=("eve",)) as studio:
        for judge in ("ann", "eve", "bob"):
            question = asked(studio, judge)
            plan = questions(judge, "pairs", 2, 9)
            assert question["total"] == len(plan) == 10
            while question["sides"]:
                number = question["number"]
                broken = plan[number].broken
                if judge == "bob":
                    choice = broken or "neither"
                elif broken:
                    choice = {"left": "right", "right": "left"}[broken]
                else:
                    levels = [bright(studio, judge, number, side) for side in ("left", "right")]
                    choice = "left" if levels[0] > levels[1] else "right"
                vote = {"judge": judge, "number": number, "choice": choice, "seconds": 1.5}
                answer = studio.ask("POST", "/api/vote", vote)
                assert answer.status == 200
                question = json.loads(answer.body)
        again = studio.ask("POST", "/api/vote", {"judge": "ann", "number": 0, "choice": "neither"})
        assert again.status == 200  # what was said stays
        votes = studio.votes.all("pairs")
    assert len(votes) == 30
    assert {vote.judge for vote in votes if vote.expert} == {"eve"}
    assert report.careless([v for v in votes if v.judge != "bob"]) == set()
    for vote in [v for v in votes if v.judge == "bob" and v.question.broken]:  # one check is too few to tell
        votes.append(vote._replace(number=99))
    assert report.careless(votes) == {"bob"}
    said = "\n".join(report.lines(votes, "pairs", ["dark", "bright"]))
    assert "left out, as they failed more than a quarter of the checks: bob" in said
    assert "dark preferred to bright: 0.0 % (0.0 to 17.6) of 18" in said
    assert "experts:" in said
    assert "alpha): 1.000" in said
    command = ["judge", *folders, "--num", "9", "--folder", "kept", "--report", "--csv", "votes.csv"]
    assert cli.main(command) == 0
    assert "preferred to" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "votes.csv").open()))
    assert len(rows) == 30
    assert {row["judge"] for row in rows} == {"ann", "eve", "bob"}
    assert cli.main([*command[:3], "--num", "5", "--folder", "kept"]) == 2
    assert "holds other pictures" in capsys.readouterr().err


def vote(judge, left, right, choice, **more):
    return Vote(judge, False, "pairs", 0, Question(left, right), {"choice": choice, **more}, 1.0)


def test_many_sources_have_strengths():
    rng = np.random.default_rng(0)
    votes = []
    for i in range(300):
        a, b = rng.permutation(3)[:2]
        better = rng.random() < 1 / (1 + np.exp(0.8 * (b - a)))
        votes.append(vote(f"j{i % 3}", (int(a), i), (int(b), i), "left" if better else "right"))
    said = report.lines(votes, "pairs", ["x", "y", "z"])
    strengths = [line for line in said if line.startswith("strength")]
    assert [line.split()[1] for line in strengths] == ["z:", "y:", "x:"]
    assert len([line for line in said if "preferred to" in line]) == 3


def test_real_or_made_and_scales():
    single = lambda judge, place, answer: Vote(judge, False, "real", 0, Question(place, None), answer, 1.0)
    votes = [single("a", (i % 2, i), {"choice": "real" if i % 2 else "made"}) for i in range(10)]
    said = report.lines(votes, "real", ["fake", "photo"])
    assert said[1].startswith("fake taken for real: 0.0 %")
    assert said[2].startswith("photo taken for real: 100.0 %")
    scales = lambda judge, place, value: single(
        judge, place, {"quality": value, "originality": 3, "style": 1, "comment": "=1+1" if value == 5 else ""}
    )
    votes = [scales(judge, (0, i), 1 + i % 5) for judge in "ab" for i in range(10)]
    said = "\n".join(report.lines(votes, "scales", ["x"]))
    assert "quality of x: 3.00 (2.3" in said
    assert "quality, agreement (Krippendorff's alpha): 1.000" in said
    assert "'=1+1" in report.table(votes, ["x"])  # no spreadsheet computes it


@pytest.mark.parametrize("ask", ["pairs", "real", "scales"])
def test_wrong_answers(tmp_path, folders, ask):
    with judging(tmp_path / "kept", folders, ask) as studio:
        for body in (
            {"judge": "ann", "number": 0},
            {"judge": "ann", "number": 0, "choice": "other"},
            {"judge": "ann", "number": 0, "choice": "real" if ask == "pairs" else "left"},
            {"judge": "ann", "number": 10**6, "choice": {"pairs": "left", "real": "real"}.get(ask)},
            {"judge": "ann", "number": -1, "choice": "left"},
            {"judge": "ann", "number": 0, "scales": {"quality": 6, "originality": 1, "style": 1}},
            {"judge": "ann", "number": 0, "choice": "left", "seconds": "x"},
            {"judge": "../../x", "number": 0, "choice": "left"},
            {"judge": "a\u0000", "number": 0, "choice": "left"},
            {"judge": "<script>", "number": 0, "choice": "left"},
            {"judge": "", "number": 0, "choice": "left"},
            {"judge": "ann", "number": 0, "choice": "left", "comment": "x" * 501},
        ):
            assert studio.ask("POST", "/api/vote", body).status == 422, body
        assert studio.votes.all(ask) == []
        later = {"judge": "ann", "number": 5, "choice": {"pairs": "left", "real": "real"}.get(ask)}
        if ask != "scales":  # a question that is not yet asked
            assert json.loads(studio.ask("POST", "/api/vote", later).body)["number"] == 0
        assert studio.ask("GET", "/api/pictures/ann/0/..%2fitems.json").status == 404
        assert studio.ask("GET", "/api/pictures/ann/99999/left").status == 404
        assert studio.ask("GET", "/api/pictures/ann/0/left", token="").status == 401


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 800, "height": 700}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert not complaints


def begin(page, studio, judge):
    page.goto(f"http://{studio.host}/#token={TOKEN}")
    page.locator("#judge").fill(judge)
    page.keyboard.press("Enter")
    page.get_by_text("Question 1 of").wait_for()


def test_the_page_of_pairs(tmp_path, folders, page):
    """Keys 1, 2 and 0, a press on a picture; it goes on where it was; and nothing on it says what is what."""
    with judging(tmp_path / "kept", folders) as studio:
        begin(page, studio, "ann")
        for number, key in enumerate("120"):
            page.get_by_text(f"Question {number + 1} of").wait_for()
            page.keyboard.press(key)
        page.get_by_text("Question 4 of").wait_for()
        assert "dark" not in page.content()
        assert "bright" not in page.content()
        page.get_by_role("button", name="Prefer picture 2").click()
        page.get_by_text("Question 5 of").wait_for()
        page.reload()
        page.get_by_text("Question 5 of").wait_for()
        for number in range(5, 11):
            page.get_by_text(f"Question {number} of").wait_for()
            page.keyboard.press("1")
        page.get_by_text("Thank you").wait_for()
        said = [vote.answer["choice"] for vote in studio.votes.all("pairs")]
        assert said == ["left", "right", "neither", "right", *["left"] * 6]
        assert all(vote.seconds > 0 for vote in studio.votes.all("pairs"))


def test_judges_by_token(tmp_path, folders, page):
    """A link speaks for one judge alone, whose name the page knows; nobody else does, not even with the common link."""
    with judging(tmp_path / "kept", folders, experts=("eve",), invited=("eve", "tom")) as studio:
        eve = {"judge": "eve", "number": 0, "choice": "left"}
        for token, judge in ((TOKEN, "eve"), (studio.tokens["tom"], "eve"), (studio.tokens["tom"], "ann")):
            for path, body in (("/api/vote", {**eve, "judge": judge}), ("/api/next", {"judge": judge})):
                assert studio.ask("POST", path, body, token=token).status == 422
            assert studio.ask("GET", f"/api/pictures/{judge}/0/left", token=token).status == 422
        assert studio.votes.all("pairs") == []
        assert studio.ask("POST", "/api/next", {"judge": "ann"}).status == 200
        page.goto(f"http://{studio.host}/#token={studio.tokens['eve']}")
        page.get_by_text("Question 1 of").wait_for()
        page.keyboard.press("2")
        page.get_by_text("Question 2 of").wait_for()
        assert [(one.judge, one.expert) for one in studio.votes.all("pairs")] == [("eve", True)]
        assert len({TOKEN, *studio.tokens.values()}) == 3
    with pytest.raises(UserError, match="wanted a name"):
        server.create(None, None, "pairs", (), ("127.0.0.1",), 1, TOKEN, ("<b>",))


def test_the_page_of_scales(tmp_path, folders, page):
    with judging(tmp_path / "kept", folders[:1], "scales") as studio:
        begin(page, studio, "ann")
        page.locator("#language").select_option("zh")
        page.get_by_text("质量").wait_for()
        page.locator("#language").select_option("en")
        page.get_by_role("button", name="Next").click()
        page.get_by_text("Choose a number for each").wait_for()
        for scale, value in (("quality", 5), ("originality", 2), ("style", 4)):
            page.locator(f"input[name={scale}][value='{value}']").check()
        page.locator("textarea").fill("quite <b>dark</b>")
        page.get_by_role("button", name="Next").click()
        page.get_by_text("Question 2 of").wait_for()
        (one,) = studio.votes.all("scales")
        assert one.answer == {"quality": 5, "originality": 2, "style": 4, "comment": "quite <b>dark</b>"}


def test_pictures_of_a_run_are_those_of_its_seed(tmp_path, folders):
    """As many of each source as the smallest has; drawn once, and the same when it is started again."""
    from genart_jax.train.checkpoint import load
    from genart_jax.use.sample import draw_samples

    model = load("icons")
    wanted = draw_samples(model, model.saved, 9, 3).images
    prepared = items.prepare(tmp_path / "kept", ["icons", folders[0]], 20, 3)
    assert prepared.each == 9
    assert np.array_equal(np.asarray(Image.open(prepared.path(0, 8))), wanted[8])
    assert items.prepare(tmp_path / "kept", ["icons", folders[0]], 20, 3) == prepared


def test_what_runs_get(tmp_path, monkeypatch):
    """A score with its contract, which `genart compare` reads."""
    from genart_jax.evaluate.compare import compare_runs

    monkeypatch.chdir(tmp_path)
    votes = [vote("a", (0, i), (1, i), "left" if i % 4 else "right") for i in range(40)]
    assert report.write_scores(votes, ["icons", "icons_vae"], 40, 0) == ["icons", "icons_vae"]
    (row,) = compare_runs(["icons", "icons_vae"])
    assert [(e.label, e.value) for e in row.entries] == [("icons", 0.75), ("icons_vae", 0.25)]
    assert row.better == "higher"
    assert row.beyond == (True,)


def test_mistakes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, said in (([], "two sources"), (["a"], "two sources"), (["a", "b"], "no run, folder or picture")):
        assert cli.main(["judge", *args]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        items.prepare(tmp_path / "kept", [str(tmp_path / "a")], 3, 0)
    (tmp_path / "a" / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"x\.png"):
        items.prepare(tmp_path / "kept", [str(tmp_path / "a")], 3, 0)
