"""The pictures of the report, drawn as SVG from data alone.

Each chart has a wide form for screens and paper and a narrow one for phones; the page shows the one
that fits, so that letters keep their size. Colours come from the page's style sheet by class.
"""
