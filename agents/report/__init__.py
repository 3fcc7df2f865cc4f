"""Reports of a run: a page for people, documents for programs.

What is written follows from the study and the facts alone, never from the clock or from chance, so
that a run that was interrupted ends with the report of one that was not, times apart.
"""

from agents.report.facts import RunFacts as RunFacts
from agents.report.facts import run_facts as run_facts
from agents.report.write import write_html as write_html
from agents.report.write import write_iteration as write_iteration
from agents.report.write import write_summary as write_summary
