"""The page of results: what it says, and how a browser shows it."""

import csv
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from experiment.report import experiments, page
from experiment.settings import PROJECT, RESULTS

PAGE = RESULTS / "report.html"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# No sandbox, because Chromium refuses to run as root with one; and nothing that calls home.
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
RUNS = {"as run": "published-auto", "as drawn": "ordered-auto"}
# The test images that the stepper shows, and the stages of each.
STEPPED = range(10, 15)
STAGES = 4
# The images before the one at hand that h₁ and h₂ hold, and that the readout answers for, by stage.
LATE = {
    "as run": [(1, 1, None), (1, 1, None), (1, 1, 1), (0, 0, 1)],
    "as drawn": [(1, 1, None), (0, 1, None), (0, 0, None), (0, 0, 0)],
}
# The stages at which the sentence tells the answer.
ANSWERS = [("as run", 2), ("as drawn", 3)]
# Everything that the stepper shows.
SHOWN = """() => {
    const part = name => document.querySelector(`#stepper [data-part="${name}"]`);
    const picture = name => {
        const image = part(name).querySelector("img");
        const visible = image.checkVisibility();
        return [visible ? image.src : null, part(name).querySelector(".of").textContent];
    };
    const text = name => part(name).textContent;
    return {
        ...Object.fromEntries(["x", "h1", "h2", "readout"].map(name => [name, picture(name)])),
        ...Object.fromEntries(["step", "label", "p", "text"].map(name => [name, text(name)])),
        reads: part("readout").querySelector(".does").textContent,
    };
}"""


def recorded(run):
    """The labels and the probabilities of the test images of a run."""
    with (RESULTS / run / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return [int(row["label"]) for row in rows], [float(row["probability"]) for row in rows]


def test_every_answer_of_the_stepper_as_run_is_the_label_of_the_image_before():
    labels, p = recorded("published-auto")
    assert [round(p[i]) for i in STEPPED] == [labels[i - 1] for i in STEPPED]
    assert any(labels[i] != labels[i - 1] for i in STEPPED)


def test_every_experiment_is_explained():
    assert list(experiments.ABOUT) == list(experiments.ALL)


def test_each_part_that_is_left_to_the_docs_is_there():
    for name, left_out in page.STORY.items():
        lines = (PROJECT / "docs" / f"{name}.md").read_text().splitlines()
        for part in left_out:
            assert (part if part.startswith("#") else f"<!-- {part} -->") in lines, name


def test_a_section_is_left_out_with_its_subsections_and_a_table_becomes_a_link():
    text = "# a\n## b\n### c\nd\n## e\n<!-- f.md -->\n| g |\n<!-- end -->\nh\n## i\nj\n"
    short = page.shortened(text, ("## b", "f.md", "## i"))
    assert short == "# a\n## e\n[The figures](../f.md)\nh\n"


def test_its_links_lead_somewhere():
    text = PAGE.read_text()
    links = set(re.findall(r'<a href="([^"]*)', text))
    assert len(links) > 20
    for link in links:
        path, _, anchor = link.partition("#")
        if path == "":
            assert f'id="{anchor}"' in text, link
        else:
            assert path.startswith("https://") or (PAGE.parent / path).exists(), link


def test_the_contents_link_every_section():
    text = PAGE.read_text()
    (contents,) = re.findall(r"<nav .*?</nav>", text, re.DOTALL)
    titles = re.findall(r'<h2 id="(.*?)">(.*?)</h2>', text)
    assert re.findall(r'<a href="#(.*?)">(.*?)</a>', contents) == titles
    assert len(titles) == len(page.STORY) + 2


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: on Debian, apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """A function that opens the page, and records its requests and complaints."""
    windows = []

    def opened(width=1280, height=800, **options):
        window = browser.new_context(viewport={"width": width, "height": height}, **options)
        windows.append(window)
        view = window.new_page()
        view.requests, view.complaints = [], []
        view.on("request", lambda request: view.requests.append(request.url))
        view.on("console", lambda message: view.complaints.append(message.text))
        view.on("pageerror", lambda error: view.complaints.append(str(error)))
        view.goto(PAGE.as_uri())
        return view

    yield opened
    for window in windows:
        window.close()


def part(view, name):
    return view.locator(f'#stepper [data-part="{name}"]')


def pixels(view, images):
    """The addresses of images, each with its pixels."""
    return view.locator(images).evaluate_all("images => images.map(image => image.src)")


@pytest.mark.parametrize("wiring", RUNS)
def test_the_stepper_shows_the_recorded_run(open_page, wiring):
    view = open_page()
    view.get_by_label(wiring).check()
    part(view, "back").focus()
    for _ in range(STAGES):
        view.keyboard.press("Enter")
    labels, p = recorded(RUNS[wiring])
    images = pixels(view, ".images img")
    for step in range(len(STEPPED) * STAGES):
        image, stage = STEPPED[step // STAGES], step % STAGES
        h1, h2, answer = LATE[wiring][stage]
        shown = view.evaluate(SHOWN)
        assert shown["step"] == f"step {step + 1} of {len(STEPPED) * STAGES}"
        assert shown["label"] == f"label {labels[image]}"
        for name, late in {"x": 0, "h1": h1, "h2": h2}.items():
            assert shown[name] == [images[image - late], f"image {image - late}"]
        if answer is None:
            assert shown["readout"] == [None, ""]
            assert shown["p"] == ""
            assert "p =" not in shown["text"]
        else:
            late = image - answer
            verdict = "correct" if round(p[image]) == labels[image] else "wrong"
            prediction = f"p = {p[image]:.2f}, so a {round(p[image])}"
            assert shown["readout"] == [images[late], f"for image {late}"]
            assert shown["p"] == f"{prediction}: {verdict}"
            assert shown["reads"] == f"reads h₂ of image {late}"
            if (wiring, stage) in ANSWERS:
                assert shown["text"] == (
                    f"The readout answers for image {late}: {prediction}. "
                    f"The label of image {image} is {labels[image]}: {verdict}."
                )
        part(view, "forward").dispatch_event("click")
    assert view.complaints == []


def test_the_stepper_begins_where_the_answer_is_late_and_the_switch_corrects_it(open_page):
    view = open_page()
    assert part(view, "readout").get_attribute("data-verdict") == "wrong"
    assert part(view, "text").get_attribute("aria-live") == "polite"
    view.get_by_label("as run").focus()
    view.keyboard.press("ArrowRight")
    assert view.get_by_label("as drawn").is_checked()
    assert part(view, "readout").get_attribute("data-verdict") == "correct"
    assert view.locator("#stepper .now").get_attribute("data-answer") == "as drawn 1"


def test_the_stepper_works_by_keys(open_page):
    view = open_page()
    view.get_by_label("as run").focus()
    view.keyboard.press("Tab")
    assert part(view, "back").evaluate("button => button === document.activeElement")
    for key, step in [("ArrowRight", 4), ("ArrowLeft", 3), ("Enter", 2), ("Tab", 2), ("Enter", 3)]:
        view.keyboard.press(key)
        assert part(view, "step").inner_text() == f"step {step} of 20"
    for _ in range(20):
        view.keyboard.press("ArrowRight")
    # A button that is disabled would lose the focus.
    assert part(view, "step").inner_text() == "step 20 of 20"
    assert part(view, "forward").get_attribute("aria-disabled") == "true"
    view.keyboard.press("ArrowLeft")
    assert part(view, "step").inner_text() == "step 19 of 20"


def test_without_scripts_the_answers_are_in_a_table(open_page):
    view = open_page(java_script_enabled=False)
    assert not view.locator("#stepper .flow").is_visible()
    assert not view.locator("#stepper .controls").is_visible()
    images = pixels(view, ".images img")
    for wiring, late in (("as run", 1), ("as drawn", 0)):
        labels, p = recorded(RUNS[wiring])
        for number, i in enumerate(STEPPED, 1):
            cell = view.locator(f'#stepper [data-answer="{wiring} {number}"]')
            verdict = "correct" if round(p[i]) == labels[i] else "wrong"
            assert cell.inner_text().split("\n") == [
                f"image {i - late}: p = {p[i]:.2f}",
                f"a {round(p[i])}: {verdict}",
            ]
            assert cell.locator("img").get_attribute("src") == images[i - late]
    view.locator(".images button").nth(5).focus()
    assert view.locator("#says-5").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_and_is_accessible(open_page, width, scheme):
    view = open_page(width, color_scheme=scheme)
    assert [url for url in view.requests if not url.startswith("data:")] == [PAGE.as_uri()]
    assert view.complaints == []
    assert view.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    scroll_width, height = view.evaluate(size)
    assert scroll_width == width
    assert height <= 12_000 or width < 1280
    frames = view.locator(".scroll").evaluate_all(
        "frames => frames.map(frame => [frame.tabIndex, Boolean(frame.ariaLabel)])"
    )
    assert frames == [[0, True]] * len(frames)
    assert view.locator("table:not(.scroll table, .says table)").count() == 0
    rows = "rows => rows.every(row => getComputedStyle(row).display === 'table-row')"
    assert view.locator(".scroll tr").evaluate_all(rows)
    axe = Axe().run(view)
    assert axe.violations_count == 0, axe.generate_report()


def test_drawings_are_legible_on_a_phone(open_page):
    smallest = """texts => Math.min(...texts.map(text =>
        parseFloat(getComputedStyle(text).fontSize)
        * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)))"""
    assert open_page(360).locator("svg text").evaluate_all(smallest) >= 11


def test_an_image_tells_its_predictions(open_page):
    view = open_page(has_touch=True)
    image, panel = view.locator(".images button").nth(5), view.locator("#says-5")
    assert not panel.is_visible()
    image.focus()
    assert "published-auto\t✗ 0\t0.06" in panel.inner_text()
    view.keyboard.press("Tab")
    assert not panel.is_visible()
    view.locator(".images button").nth(7).tap()
    assert view.locator("#says-7").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(360, 800), (740, 320), (1280, 800)])
def test_the_predictions_of_an_image_do_not_cover_it(open_page, width, height):
    view = open_page(width, height, has_touch=True)
    for i in range(20):
        image, panel = view.locator(".images button").nth(i), view.locator(f"#says-{i}")
        image.focus()
        keyboard = image.bounding_box(), panel.bounding_box()
        # The worst place for a finger: the lower edge of the window.
        image.evaluate("image => { image.blur(); image.scrollIntoView({block: 'end'}); }")
        image.evaluate("image => scrollBy(0, image.getBoundingClientRect().bottom - innerHeight)")
        image.tap()
        for shown, below in (keyboard, (image.bounding_box(), panel.bounding_box())):
            assert shown["y"] >= 0
            assert shown["y"] + shown["height"] <= below["y"]
