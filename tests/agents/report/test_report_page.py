import re
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from report_markup import Page, coordinates, pictures
from report_samples import START, facts, study
from report_views import studies

from agents.report.page import html_page
from agents.report.study import finite
from agents.report.templates import text
from agents.report.usage import Usage
from agents.report.words import ORIGINS, SHAPES, origin_name, proposed
from agents.trial import Job, Origin, Second, StudyView, Trial, TrialState
from scheduler.job import Cause, Failure
from training.contract import Curve

HOSTILE = (
    "</title></style></script><script>alert(1)</script>\"'&{{ 7 * 7 }}\x00\x1b[31m\ud800\u202e"
)


def content(view, **changes):
    return html_page(view, facts(**changes))


@pytest.mark.parametrize("count", [0, 1, 2, 10, 60])
@pytest.mark.parametrize("all_failed", [False, True])
def test_a_page_is_well_formed_whatever_the_trials(count, all_failed):
    page = content(study(count, all_failed=all_failed))
    assert Page(page).faults == []
    assert len(set(Page(page).ids)) == len(Page(page).ids)
    pictures(page)


@settings(max_examples=50)
@given(made=studies())
def test_any_study_makes_well_formed_pictures_with_finite_coordinates(made):
    view, space = made
    page = html_page(finite(view), facts(parameters=space))
    page.encode()
    assert Page(page).faults == []
    for picture in pictures(page):
        for number in coordinates(picture):
            assert abs(float(number)) < 1e5


def test_nothing_that_others_wrote_becomes_markup():
    trial = Trial(
        number=0,
        iteration=1,
        state=TrialState.FAILED,
        parameters={HOSTILE: HOSTILE},
        origin="llm",
        seed=0,
        rationale=HOSTILE * 3,
        fallback_reason=HOSTILE,
        failure=Failure(Cause.PROGRAM_ERROR, HOSTILE, 1, HOSTILE, HOSTILE),
        warnings=[HOSTILE],
        environment={HOSTILE: HOSTILE, "device_name": HOSTILE},
        job=Job(HOSTILE, HOSTILE, submitted_at=START, started_at=START, ended_at=START),
    )
    done = replace(
        trial,
        number=1,
        state=TrialState.COMPLETED,
        value=0.5,
        failure=None,
        metrics={HOSTILE: 1.0},
        environment={"device_name": "other"},
        curve=Curve([1, 2], [0.1, 0.5]),
    )
    view = StudyView(
        HOSTILE,
        HOSTILE,
        "maximize",
        [trial, done, replace(done, number=2, value=0.6, metrics={HOSTILE: 2.0})],
    )
    space = {HOSTILE: {"type": "categorical", "choices": [HOSTILE, "b"], "description": HOSTILE}}
    hostile = facts(
        experiment=HOSTILE,
        description=HOSTILE,
        run_directory=HOSTILE,
        stop_reason=HOSTILE,
        notices=[HOSTILE],
        configuration=HOSTILE,
        environment={HOSTILE: HOSTILE},
        git={HOSTILE: HOSTILE},
        parameters={name: _categorical(document) for name, document in space.items()},
        second=Second(HOSTILE, "minimize"),
        command=[HOSTILE, "{hyperparameters}"],
        code={"path": HOSTILE, "digest": HOSTILE, "git": {HOSTILE: HOSTILE}},
        steering=[dict.fromkeys(("what", "by", "asked_at", "taken_at", "effect"), HOSTILE)],
        usage=Usage(1, 0, 3, 3, 1.0, {HOSTILE: 2.0}),
    )
    page = html_page(view, hostile)
    assert [tag for tag, _ in Page(page).tags].count("script") == 1
    assert page.count("<script>") == 1
    assert Page(page).text.count("<script>alert(1)</script>") > 15
    assert "49" not in re.sub(r"\d\.\d+|\d{3,}", "", Page(page).text)
    assert not re.search("[\x00\x1b\ud800\u202e]", page)
    pictures(page)


def _categorical(document):
    from agents.config.model import CategoricalParameter

    return CategoricalParameter(**document)


def test_the_policy_forbids_the_network_and_any_script_but_ours():
    page = content(study(3))
    policy = dict(Page(page).tags)["meta"]
    policies = [attributes for tag, attributes in Page(page).tags if "http-equiv" in attributes]
    assert policy and len(policies) == 1
    assert policies[0]["content"].startswith("default-src 'none'; style-src 'sha256-")
    for tag, attributes in Page(page).tags:
        assert not {"src", "style", "srcset"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in page and "@import" not in page


def test_times_alone_tell_two_reports_of_one_search_apart():
    view = study(30)
    later = facts(
        started_at=START + timedelta(days=2),
        updated_at=START + timedelta(days=3),
        elapsed_seconds=1.0,
    )
    first, second = html_page(view, facts()), html_page(view, later)
    assert first == html_page(study(30), facts())
    assert first != second
    times = re.compile(r"<!--times-->.*?<!--/times-->|<time.*?</time>", re.DOTALL)
    assert times.sub("", first) == times.sub("", second)


def test_the_head_names_the_best_trial_its_gain_and_the_reason_to_stop():
    view = study(30)
    words = Page(content(view)).text
    best = view.best
    assert f"{best.value:.4f} accuracy_auc" in words
    assert f"Trial {best.number} of 30 is the best" in words
    assert "better than the default, trial 0" in words
    assert "Stopped 8 iterations without an improvement" in words


def test_a_running_search_says_so():
    assert "Still searching 8 iterations so far" in Page(content(study(30), stop_reason=None)).text


def test_every_trial_is_in_the_table_with_its_state_and_reason():
    view = study(40)
    page = content(view)
    words = Page(page).text
    for trial in view.trials:
        assert f'id="t{trial.number}"' in page
        if trial.failure:
            assert f"{trial.state.value}: {trial.failure.cause.value}" in words
        assert all(word in words for word in trial.rationale.split())


def test_what_was_left_out_is_said():
    words = Page(content(study(1500))).text
    for said in ("points are", "curves are", "trials are", "The newest 50 of", "600 of 12"):
        assert said in words
    assert "PED-ANOVA on 1000 of 12" in words


def test_a_large_study_makes_a_small_page():
    """A row for each trial; the pictures are bounded."""
    page = content(study(3000))
    assert len(page) < 640 * 3000
    assert sum(map(len, re.findall(r"<svg\b.*?</svg>", page, re.DOTALL))) < 750_000


def test_every_origin_has_a_name_a_marker_and_a_colour():
    assert set(ORIGINS) == set(get_args(Origin)) == set(SHAPES)
    for origin in ORIGINS:
        assert origin_name(origin) and proposed(origin)
        assert f"--{origin}:" in text("report.css")


LIGHT, DARK = 0, 1


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(
    ("colour", "ground", "least"),
    [
        ("ink", "ground", 7), ("soft", "ground", 4.5), ("soft", "raised", 4.5),
        ("accent", "ground", 4.5), ("failed", "ground", 4.5), ("llm", "ground", 3),
        ("user", "ground", 3), ("sampler", "ground", 2.9), ("default", "ground", 3),
    ],
)  # fmt: skip
def test_colours_stand_out_from_their_ground(scheme, colour, ground, least):
    """WCAG 2.2: 4.5 for text, 3 for marks."""
    palettes = re.findall(r":root \{(.*?)\}", text("report.css"), re.DOTALL)
    palette = dict(re.findall(r"--(\w+): (#\w{6})", palettes[scheme]))
    lights = sorted(_luminance(palette[name]) for name in (colour, ground))
    assert (lights[1] + 0.05) / (lights[0] + 0.05) >= least


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
