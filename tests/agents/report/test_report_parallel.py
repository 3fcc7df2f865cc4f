"""Parallel coordinates, where so many lines meet."""

import re

from report_samples import facts, study

from agents.report.ahead import told
from agents.report.charts.frame import NARROW, WIDE
from agents.report.charts.parallel import parallel_chart


def test_every_label_stands_on_a_plate_above_the_lines():
    parameters = facts().parameters
    names = [name for name, parameter in parameters.items() if parameter.type != "fixed"]
    for width in (NARROW, WIDE):
        chart = str(parallel_chart(study(24), parameters, names, "p", width))
        labels = re.findall(r'(<rect class="plate".*?/>\n)?<text class="tick halo"', chart)
        assert len(labels) > 10
        alone = [label for label in labels if not label]
        assert len(alone) == chart.count(">inactive<")
        assert chart.rindex("<path") < chart.index('class="plate"')


def test_the_race_tells_shares_of_each_sources_latest():
    said = told(study(60))
    shares = re.search(
        r"Among the best quarter at their time: (\d+) of the LLM's last (\d+) trials and (\d+) of the "
        r"sampler's last (\d+) trials\.$",
        said,
    )
    assert shares, said
    good, judged, also_good, also_judged = map(int, shares.groups())
    assert good <= judged and also_good <= also_judged
