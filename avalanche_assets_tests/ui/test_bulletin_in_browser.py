"""The bulletin as its readers open it: from a file, without a network, on a desk and on a phone."""

from datetime import timedelta

import pytest
from browser import open_page
from detection_world import (
    FIRST,
    SECOND,
    acquisition,
    build_world,
    detections_of,
    example_evaluation,
    example_settings,
    score_table,
)

from avalanche_assets.reporting.bulletin import BulletinContent, write_bulletin
from avalanche_assets.reporting.charts import DateActivity
from avalanche_assets.reporting.season_report import SeasonDate, write_season_report

pytestmark = pytest.mark.integration
DESK, PHONE = (1280, 900), (390, 844)
HIDDEN = {2: "layover", 3: "shadow"}


@pytest.fixture(scope="module")
def bulletin(tmp_path_factory):
    world, folder = build_world(), tmp_path_factory.mktemp("bulletin")
    found = detections_of(world, SECOND, {0: 6.0, 5: 7.0}, HIDDEN, score_table(world, FIRST, {0: 6.0}, {}))
    season = [DateActivity(FIRST - timedelta(6), None, 0), DateActivity(FIRST, 9.0, 1)]
    content = BulletinContent(
        found,
        world.elevation,
        world.grid,
        acquisition(SECOND),
        acquisition(FIRST),
        before=detections_of(world, FIRST, {0: 6.0}, {}),
        season=[*season, DateActivity(SECOND, 10.0, 1)],
    )
    return write_bulletin(folder, content, example_settings(folder))


@pytest.fixture
def page(bulletin):
    with open_page(*DESK) as page:
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "console", lambda message: page.errors.append(message.text) if message.type == "error" else None
        )
        page.goto(bulletin.page.as_uri())
        yield page
        assert page.errors == []


def view(page):
    return [float(part) for part in page.locator("svg.canvas").get_attribute("viewBox").split()]


def test_nothing_but_the_page_itself_is_asked_for(page, bulletin):
    page.get_by_role("button", name="Zoom in").click()
    asked = [address for address in page.asked if not address.startswith("data:")]
    assert asked == [bulletin.page.as_uri()]


def test_policy_of_the_page_stops_a_request(page):
    errors = page.evaluate("fetch('https://example.org/').then(() => 'sent', error => 'refused')")
    assert errors == "refused"
    assert any("Content Security Policy" in text for text in page.errors)
    page.errors.clear()


def test_map_zooms_pans_and_goes_back(page):
    whole = view(page)
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    near = view(page)
    assert near[2] == pytest.approx(whole[2] / 1.6**2)
    box = page.locator("svg.canvas").bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 240, steps=4)
    page.mouse.up()
    moved = view(page)
    per_pixel = near[2] / box["width"]
    assert moved[0] - near[0] == pytest.approx(100 * per_pixel, rel=0.02)
    assert moved[1] - near[1] == pytest.approx(60 * per_pixel, rel=0.02)
    page.get_by_role("button", name="Show everything").click()
    assert view(page) == pytest.approx(whole)


def test_scale_bar_has_the_length_it_says(page):
    for _ in range(3):
        text = page.locator(".scale span").inner_text()
        number, unit = text.split()
        metres = float(number) * {"km": 1000, "m": 1}[unit]
        pixels = page.locator(".scale i").bounding_box()["width"]
        per_pixel = 5.0 * view(page)[2] / page.locator("svg.canvas").bounding_box()["width"]
        assert metres == pytest.approx(pixels * per_pixel, rel=0.02)
        page.get_by_role("button", name="Zoom in").click()


def test_place_under_the_pointer_is_the_one_of_the_table(page, bulletin):
    row = page.locator("tr#d-73040006")
    box = page.locator(".mark[data-corridor='73040006']").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = page.locator(".where").inner_text().replace("°", "").split()
    said = row.locator("a").inner_text().replace("°", "").replace(",", "").split()
    # A pixel of the map is 8 m, 0.0001 degrees.
    assert [float(shown[0]), float(shown[2])] == pytest.approx([float(said[0]), float(said[2])], abs=0.0003)


def test_symbol_and_table_lead_to_each_other(page):
    page.locator(".mark[data-corridor='73040006']").click()
    card = page.locator(".card")
    assert "Couloir 6 (73040006)" in card.inner_text()
    assert page.locator("tr#d-73040006").get_attribute("class") == "chosen"
    page.locator("tr#d-73040001").get_by_role("button", name="show").click()
    assert "Couloir 1 (73040001)" in card.inner_text()
    assert "2 passes" in card.inner_text()
    assert view(page)[2] < 1201


def test_corridor_that_could_not_be_seen_says_why(page):
    page.locator(".corridor.hidden").first.dispatch_event("click")
    assert page.locator(".card").inner_text().strip().endswith("(layover)")


def test_layers_can_be_switched_off(page):
    quiet = page.locator("path.corridor.quiet").first
    assert quiet.is_visible()
    page.get_by_label("seen, nothing detected").uncheck()
    assert not quiet.is_visible()


def test_table_sorts_by_measures(page):
    page.get_by_role("button", name="Score").click()
    scores = page.locator("table.sortable td:last-child").all_inner_texts()
    assert scores == ["6.00", "7.00"]
    page.get_by_role("button", name="Score").click()
    assert page.locator("table.sortable td:last-child").all_inner_texts() == ["7.00", "6.00"]


def test_french_is_one_click_away(page):
    page.get_by_role("link", name="Français").click()
    assert page.locator("h2").first.inner_text() == "Carte"
    assert page.locator("html").get_attribute("lang") == "fr"


@pytest.mark.parametrize("name", ["bulletin.html", "bulletin.fr.html"])
def test_phone_shows_everything_within_its_width(bulletin, name):
    with open_page(*PHONE) as page:
        page.goto(bulletin.page.with_name(name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        tools = page.locator(".tools button").first.bounding_box()
        assert min(tools["width"], tools["height"]) >= 32  # large enough for a thumb
        # At full extent a finger scrolls the page instead of catching on the map.
        assert page.locator("svg.canvas").evaluate("node => getComputedStyle(node).touchAction") == "pan-y"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A winter of twelve dates with records and an evaluation."""
    world, folder = build_world(), tmp_path_factory.mktemp("report")
    days = [FIRST + timedelta(6 * number) for number in range(12)]
    dates = [SeasonDate(day, detections_of(world, day, {0: 6.0}, HIDDEN), recorded=1) for day in days]
    return write_season_report(folder, "2017-18", dates, example_settings(folder), example_evaluation())


@pytest.mark.parametrize("name", ["season_report.html", "season_report.fr.html"])
@pytest.mark.parametrize("width", [DESK[0], PHONE[0]])
def test_season_report_shows_everything_within_its_width(report, width, name):
    """Only the table of massifs and dates, which grows with the winter, may be pushed sideways on a phone."""
    with open_page(width, 900) as page:
        page.goto(report.page.with_name(name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut_off = page.evaluate(
            """() => [...document.querySelectorAll("main *")]
                .filter(node => getComputedStyle(node).overflowX === "auto")
                .filter(node => node.scrollWidth > node.clientWidth)
                .map(node => node.firstElementChild.className)"""
        )
        assert cut_off == ([] if width == DESK[0] else ["matrix"])
        assert [address for address in page.asked if not address.startswith(("data:", "file:"))] == []
