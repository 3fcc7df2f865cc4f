"""The page in a real browser: nothing to complain about, nothing asked of a network."""

import pytest
from report_browser import Browser
from report_samples import facts, study

from agents.report import write_html
from agents.report.numbers import MISSING

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_html(study(60), facts(), tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("count", [0, 1, 60])
def test_a_page_loads_without_complaint_or_request_and_fits(browser, tmp_path, count, dark, width):
    path = write_html(study(count, failures=0.2), facts(), tmp_path)
    browser.open(path, width=width, dark=dark)
    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 21, 24)" if dark else "rgb(255, 255, 255)")


def test_a_chart_keeps_the_size_of_its_letters_on_a_phone(browser, page):
    browser.open(page, width=390)
    shown = "[...document.querySelectorAll('figure svg')].filter(e => e.getClientRects().length)"
    sizes = browser.evaluate(
        f"{shown}.map(e => e.getBoundingClientRect().width / e.viewBox.baseVal.width)"
    )
    assert len(sizes) == 3
    assert all(size > 0.9 for size in sizes)


def test_without_script_everything_is_there_but_sorting_and_filtering(browser, page):
    browser.open(page, script=False)
    assert browser.complaints == []
    assert browser.evaluate("document.querySelectorAll('#table tbody tr').length") == 60
    assert browser.evaluate("document.querySelectorAll('#table button').length") == 0
    assert browser.evaluate("document.querySelector('.filter').getClientRects().length") == 0
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('#table button').length") > 5
    assert browser.evaluate("document.querySelector('.filter').getClientRects().length") == 1


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it_round(browser, page):
    browser.open(page)
    column = "[...document.querySelectorAll('#table tbody tr')].map(r => r.cells[3].textContent)"
    click = "document.querySelectorAll('#table thead button')[3].click()"
    browser.evaluate(click)
    rising = [float(value) for value in browser.evaluate(column) if value != MISSING]
    browser.evaluate(click)
    falling = browser.evaluate(column)
    assert len(rising) > 40
    assert rising == sorted(rising)
    assert [float(value) for value in falling if value != MISSING] == rising[::-1]
    assert falling[-1] == MISSING
    assert browser.complaints == []


def test_the_filter_hides_what_does_not_match(browser, page):
    browser.open(page)
    browser.evaluate(
        "document.querySelector('.filter select').value = 'failed';"
        "document.querySelector('.filter').dispatchEvent(new Event('input'))"
    )
    visible = "[...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden)"
    failed = sum(trial.failure is not None for trial in study(60).trials)
    assert browser.evaluate(f"{visible}.length") == failed > 0
    assert (
        browser.evaluate("document.querySelector('.filter output').textContent")
        == f"{failed} of 60"
    )


def test_pointing_at_a_trial_shows_it_in_every_chart_with_its_parameters(browser, page):
    browser.open(page)
    browser.evaluate(
        "document.querySelector('#history ~ figure .wide .mark[data-trial=\"20\"]')"
        ".dispatchEvent(new PointerEvent('pointerover', {bubbles: true, clientX: 90, clientY: 90}))"
    )
    tip = browser.evaluate("document.querySelector('.tip').textContent")
    assert tip.startswith("trial 20: ")
    assert "learning_rate" in tip
    lit = "document.querySelectorAll('[data-trial=\"20\"].on').length"
    assert browser.evaluate(lit) >= 4
    assert browser.complaints == []


def test_the_page_prints(browser, page):
    browser.open(page)
    assert browser.pdf().startswith(b"%PDF")
