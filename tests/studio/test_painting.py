"""The page where a stub works: painting what is missing, the slider, cancelling, a queue that is full."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from genart_jax.app.studio.limits import Limits
from tests.studio.client import STUB, TOKEN, running, until


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with running(tmp_path_factory.mktemp("studio"), limits=Limits(waiting=1)) as one:
        yield one


@pytest.fixture
def page(browser, studio):
    context = browser.new_context(viewport={"width": 1180, "height": 900}, locale="en-GB", has_touch=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"http://{studio.host}/#token={TOKEN}")
    page.wait_for_selector("article .tile img")
    yield page
    context.close()
    assert not wrong


def turn(page, name):
    page.locator("nav").get_by_role("button", name=name, exact=True).click()


def upload(page, size=(60, 40)):
    content = io.BytesIO()
    Image.new("RGB", size, "orange").save(content, "PNG")
    page.locator("#slots input[type=file]").first.set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": content.getvalue()}
    )
    page.locator("#slots img").wait_for()


def sent_mask(studio, job):
    found = studio.get(f"/api/jobs/{job}")["result"]["files"]["mask"]
    return np.asarray(Image.open(found).convert("L"))


def go(page):
    before = page.locator("main article").count()
    page.locator(".go").click()
    until(lambda: page.locator("main article").count() > before)
    return page.locator("main article").first.get_attribute("data-job")


@pytest.mark.parametrize("way", ["mouse", "touch", "keys"])
def test_a_painted_mask(studio, page, way):
    """It has the size of the picture, white where it was painted and black elsewhere; the slider cuts between both."""
    turn(page, "Restore")
    upload(page)
    canvas = page.locator("canvas.mask")
    until(lambda: canvas.evaluate("one => one.height < one.width"))  # that of the picture
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    left, middle = box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"]
    if way == "mouse":
        page.mouse.move(left, middle)
        page.mouse.down()
        page.mouse.move(left + 0.1 * box["width"], middle, steps=5)
        page.mouse.up()
    elif way == "touch":
        page.touchscreen.tap(left, middle)
    else:
        canvas.focus()
        for _ in range(8):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Space")
    mask = sent_mask(studio, go(page))
    assert mask.shape == (40, 60)
    assert mask[20, 15] > 200
    assert mask[:, 45:].max() == 0
    assert mask[:5].max() == 0
    slider = page.get_by_label("How much of before is shown").first
    clip = lambda: page.locator(".compare .top").first.evaluate("one => one.style.clipPath")
    assert "50%" in clip()
    slider.focus()
    page.keyboard.press("Home")
    assert clip() in ("inset(0px 0px 0px 0%)", "inset(0px)")
    page.get_by_role("button", name="Clear").click()
    assert "mask" not in studio.get(f"/api/jobs/{go(page)}")["result"]["files"]  # one that may be left out


def test_a_folder_to_train_on(studio, page, tmp_path):
    """Its pictures are sent as a zip that others read, under the names of the folders in it; other files stay here."""
    turn(page, "Train")
    page.locator(".go").click()
    page.get_by_text("Choose a zip or a folder").wait_for()
    files = {"cats/one.png": "red", "cats/größer.png": "green", "dogs/two.jpg": "blue"}
    for name, color in files.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), color).save(tmp_path / "mine" / name)
    (tmp_path / "mine" / "diary.txt").write_text("not this")
    page.locator("input[name=pictures-folder]").set_input_files(tmp_path / "mine")
    page.get_by_text("3 pictures chosen").wait_for()
    job = studio.get(f"/api/jobs/{go(page)}")
    with zipfile.ZipFile(job["result"]["files"]["pictures"]) as sent:
        assert sent.testzip() is None
        assert {one: sent.read(one) for one in sent.namelist()} == {
            name: (tmp_path / "mine" / name).read_bytes() for name in files
        }


def test_cancel_and_a_full_queue(studio, page):
    """What runs is stopped by a press; what the queue has no place for is said, and asking again helps."""
    page.locator("form [name=do]").select_option("wait")
    page.locator(".go").click()
    cancel = page.get_by_role("button", name="Cancel")
    cancel.wait_for()
    page.locator("progress[value]").wait_for()
    others = [studio.job().status for _ in range(2)]
    assert others == [202, 429]
    cancel.click()
    page.get_by_text("Cancelled.").wait_for()
    assert cancel.is_hidden()
    page.locator("form [name=do]").select_option("draw")
    go(page)
    page.locator("form [name=do]").select_option("fail")
    page.locator(".go").click()
    page.get_by_text("not today").wait_for()


def test_without_the_token(studio, browser):
    """Whoever has not the link sees how to get it, and nothing else; a wrong one is no better."""
    for link in ("", "#token=wrong"):
        context = browser.new_context(locale="en-GB")
        page = context.new_page()
        page.goto(f"http://{studio.host}/{link}")
        page.get_by_text("Open the address that the command printed").wait_for()
        assert page.locator("main *").count() == 0
        context.close()


def test_a_page_that_is_there_before_the_models(browser, tmp_path):
    """As with `genart studio` and a quick hand: it says that they load, and shows the first pictures by itself."""
    with running(tmp_path / "kept", [*STUB, "after", str(tmp_path / "now")], ready=False) as studio:
        page = browser.new_page(locale="en-GB")
        page.goto(f"http://{studio.host}/#token={TOKEN}")
        page.locator("main").get_by_text("The model is loading").wait_for()
        (tmp_path / "now").touch()
        page.locator("article .tile img").first.wait_for(timeout=10_000)
        assert page.locator("nav [aria-current=page]").inner_text() == "Create"
        page.close()
