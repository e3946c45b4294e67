"""The page in a real browser, from the disk and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from sobench.report.html.page import render
from tests.commands.small_suite import write_suite
from tests.detected_results import keep_detected, page_of
from tests.records import isolate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium; apt-get install chromium")

EVIL = "</script><script>document.title='evil'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # In a container there is no other sandbox to start one in, and /dev/shm is small.
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about three rows, one of them with a hostile name, with two seeds."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(folder, monkeypatch)
        path = write_suite(seeds=[0, 1], methods=["fpn", "ssd", {"name": "pafpn", "label": EVIL}])
        keep_detected(path)
        (folder / "page.html").write_text(render([page_of(path)]))
    return folder / "page.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The page, opened; afterwards: no error, no warning, no request but for the file."""
    told: list[str] = []
    opened = browser.new_page(color_scheme="light")
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda request: told.extend(foreign(request.url)))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert told == []


def foreign(url: str) -> list[str]:
    return [] if url.startswith(("file:", "data:")) else [url]


def column(page: Page, number: int) -> list[str]:
    cells = page.locator(f"#s0-board tbody tr > :nth-child({number}) .value")
    return cells.all_inner_texts()


def paper(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def places(page: Page) -> list[float]:
    """All coordinates of the lines of precision over recall."""
    lines = page.locator(".curves .line").all()
    points = " ".join(line.get_attribute("points") or "" for line in lines)
    return [float(number) for number in points.replace(",", " ").split()]


def test_names_are_text(page: Page) -> None:
    assert page.title() == "small"
    assert EVIL in column(page, 2)


def test_headings_sort_a_table(page: Page) -> None:
    heading = page.locator("#s0-board th", has_text="AP50")
    number = 1 + heading.evaluate("cell => cell.cellIndex")
    before = column(page, number)
    assert len(set(before)) == 3
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, number) == sorted(before, reverse=True)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(page, number) == sorted(before)
    page.locator("#s0-board th", has_text="method").locator("button").click()
    assert column(page, 2) == sorted(column(page, 2), key=str.lower)
    assert page.locator("#s0-board th[aria-sort]").count() == 1


def test_curves_of_another_class_and_iou(page: Page) -> None:
    def lines() -> list[str]:
        found: list[str] = page.locator(".curves .line").evaluate_all(
            "lines => lines.map(line => line.getAttribute('points'))"
        )
        return found

    drawn = [lines()]
    for name in ("car", "truck"):
        page.locator(".part").select_option(label=name)
        drawn.append(lines())
    page.locator(".iou").select_option("0.75")
    drawn.append(lines())
    assert len({tuple(one) for one in drawn}) == 4
    assert all(len(line.split()) == 101 for line in filter(None, drawn[-1]))
    page.locator(".part").select_option(label="size S")
    assert page.locator(".iou option").all_inner_texts() == ["0.50", "0.75"]


def test_the_first_curves_are_drawn_without_the_script(
    browser: Browser, page: Page, file: Path
) -> None:
    without = browser.new_context(java_script_enabled=False).new_page()
    without.goto(file.as_uri())
    drawn, redrawn = places(without), places(page)
    assert len(drawn) == 3 * 101 * 2
    # The script has precision in thousandths, which are a fourth of a pixel here.
    assert drawn == pytest.approx(redrawn, abs=0.3)
    without.context.close()


def test_the_area_under_a_curve_is_the_metric(page: Page) -> None:
    areas = dict(
        zip(
            page.locator(".areas tbody th").all_inner_texts(),
            page.locator(".areas tbody td").all_inner_texts(),
            strict=True,
        )
    )
    assert page.locator(".iou").input_value() == "0.50"
    heading = page.locator("#s0-board th", has_text="AP50")
    number = 1 + heading.evaluate("cell => cell.cellIndex")
    assert areas == dict(zip(column(page, 2), column(page, number), strict=True))


def test_a_row_can_be_taken_out_of_the_charts(page: Page) -> None:
    marks = page.locator('svg [data-row="1"]')
    assert marks.count() > 10
    button = page.locator('[data-toggle="1"]')
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert not any(mark.is_visible() for mark in marks.all())
    page.locator(".part").select_option(label="car")
    assert not page.locator('.areas [data-row="1"]').is_visible()
    page.locator("#all-rows").click()
    assert page.locator(".hidden").count() == 0


def test_a_pair_is_shown(page: Page) -> None:
    first, second = page.locator(".matrix tbody th").all_inner_texts()[:2]
    assert page.locator(".pair h3").inner_text() == f"{first} less {second}"
    cell = page.locator('[data-pair="2,0"]')
    cell.click()
    assert cell.get_attribute("aria-pressed") == "true"
    told = page.locator(".pair p").first.inner_text()
    assert told.startswith(f"AP {cell.inner_text()}, 95 % interval ")
    counts = page.locator(".pair tbody tr").first.locator("td.number").all_inner_texts()
    objects = sum(map(float, counts))
    page.locator('[data-pair="0,2"]').click()
    swapped = page.locator(".pair tbody tr").first.locator("td.number").all_inner_texts()
    assert objects > 0
    assert swapped == [counts[0], counts[2], counts[1], counts[3]]


def test_the_theme_follows_the_system_until_it_is_switched(browser: Browser, file: Path) -> None:
    for scheme in ("light", "dark"):
        opened = browser.new_page(color_scheme=scheme)
        opened.goto(file.as_uri())
        before = paper(opened)
        assert before == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        opened.locator("#theme").click()
        after = paper(opened)
        assert after != before
        opened.locator("#theme").click()
        assert paper(opened) == before
        opened.close()


def test_the_leaderboard_fits_a_usual_screen_and_shows_the_rest_on_request(
    browser: Browser, file: Path
) -> None:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.goto(file.as_uri())
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert opened.evaluate(f"{wide}.length") == 0
    button, further = opened.locator(".columns"), opened.locator("#s0-board thead .further")
    assert button.inner_text() == f"{further.count()} more columns"
    assert not any(heading.is_visible() for heading in further.all())
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert all(heading.is_visible() for heading in further.all())
    opened.close()


def test_what_is_printed_says_which_line_is_which(browser: Browser, file: Path) -> None:
    opened = browser.new_page()
    opened.goto(file.as_uri())
    opened.locator('[data-toggle="1"]').click()
    opened.emulate_media(media="print", color_scheme="dark")
    assert paper(opened) == "rgb(255, 255, 255)"
    assert [button.is_visible() for button in opened.locator("[data-toggle]").all()] == [
        True, False, True,
    ]  # fmt: skip
    assert opened.locator(".controls").is_visible()  # the class and the IoU of the curves
    for hidden in ("#theme", ".jump", ".columns"):
        assert not opened.locator(hidden).is_visible()
    opened.close()


def test_no_section_is_wider_than_a_phone(browser: Browser, file: Path) -> None:
    opened = browser.new_page(viewport={"width": 360, "height": 800})
    opened.goto(file.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    assert opened.locator(".panels image, .panels use").count() > 0
    opened.close()
