"""The page in a real browser: nothing to complain about, nothing asked of a network."""

from dataclasses import replace

import pytest
from report_browser import Browser
from report_runs import with_job
from report_samples import START, facts, study

from agents.report import write_html
from agents.report.comparison import Contender, comparison_page
from agents.report.numbers import MISSING
from agents.report.usage import Usage

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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A report with every section there is, and a comparison of three runs."""
    directory = tmp_path_factory.mktemp("whole")
    asked = {"what": "forbid " + "x" * 90, "by": "ada", "asked_at": START.isoformat()}
    trials = [
        replace(with_job(t), environment={"device_name": f"GPU {t.number % 2}", "host": "h" * 80})
        for t in study(60).trials
    ]
    view = replace(study(60), trials=trials)
    about = facts(steering=[asked], usage=Usage(3, 1, 10**7, 10**6, 9.0, {"USD": 12.5}))
    page = write_html(view, about, directory)
    runs = [Contender(f"20261123_14253{n}_fashion_cnn", view, about) for n in range(3)]
    comparison = directory / "comparison.html"
    comparison.write_text(comparison_page(runs))
    return {"report": page, "comparison": comparison}


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["report", "comparison"])
def test_every_section_fits_and_asks_for_nothing(browser, whole, kind, dark, width):
    browser.open(whole[kind], width=width, dark=dark)
    assert browser.complaints == []
    assert browser.requests == [whole[kind].as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    out = (
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre, svg')"
        " && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 90))"
    )
    assert browser.evaluate(out) == []


CONTRAST = """
(() => {
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const rgb = (s) => (s.match(/[\\d.]+/g) || []).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3) return c; }
    return rgb(getComputedStyle(document.body).backgroundColor); };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.matches('title, desc, script, option')) continue;
    const style = getComputedStyle(e);
    const ink = rgb(e.closest('svg') ? style.fill : style.color).slice(0, 3);
    const [a, b] = [lum(ink), lum(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push([e.outerHTML.slice(0, 80), (a + 0.05) / (b + 0.05)]);
  }
  return bad;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["report", "comparison"])
def test_every_text_that_is_shown_can_be_read(browser, whole, kind, dark):
    """WCAG 2.2, 1.4.3: a contrast of 4.5, as the browser computes the colours."""
    browser.open(whole[kind], dark=dark)
    assert browser.evaluate(CONTRAST) == []
    shown = "[...document.querySelectorAll('h2')].length"
    assert browser.evaluate(shown) >= (4 if kind == "comparison" else 10)


@pytest.mark.parametrize("kind", ["report", "comparison"])
def test_what_cannot_be_seen_is_named(browser, whole, kind):
    browser.open(whole[kind])
    nameless = {
        "svg:not([aria-hidden]):not([role=img])", "svg[role=img]:not([aria-labelledby])",
        "th:not([scope])", "table:not(:has(thead)):not(.bars)", "[tabindex]:not([aria-label]):not([aria-labelledby])",
        "section:not([aria-labelledby])",
    }  # fmt: skip
    for selector in nameless:
        found = browser.evaluate(
            f"[...document.querySelectorAll('{selector}')].map(e => e.outerHTML.slice(0, 90))"
        )
        assert found == [], selector
    dangling = (
        "[...document.querySelectorAll('[aria-labelledby]')].flatMap(e =>"
        " e.getAttribute('aria-labelledby').split(' ')).filter(i => !document.getElementById(i))"
    )
    assert browser.evaluate(dangling) == []
    broken = (
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a =>"
        " !document.getElementById(a.getAttribute('href').slice(1))).map(a => a.outerHTML)"
    )
    assert browser.evaluate(broken) == []


def test_pointing_at_a_job_tells_how_long_it_waited(browser, whole):
    browser.open(whole["report"])
    browser.evaluate(
        "document.querySelector('#timeline ~ figure .wide .ran[data-trial=\"20\"]')"
        ".dispatchEvent(new PointerEvent('pointerover', {bubbles: true, clientX: 90, clientY: 90}))"
    )
    tip = browser.evaluate("document.querySelector('.tip').textContent")
    assert tip.startswith("trial 20, ") and "waited 20.0 s, ran 1 min" in tip
    assert browser.complaints == []


def test_a_chart_keeps_the_size_of_its_letters_on_a_phone(browser, page):
    browser.open(page, width=390)
    shown = "[...document.querySelectorAll('figure svg')].filter(e => e.getClientRects().length)"
    sizes = browser.evaluate(
        f"{shown}.map(e => e.getBoundingClientRect().width / e.viewBox.baseVal.width)"
    )
    assert len(sizes) == 5
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
