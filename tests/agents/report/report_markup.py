"""Reads a page as strictly as it was meant: every tag closed, every SVG well-formed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """A page's elements, its text outside of script and style, and whatever is not in order."""

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.open, self.faults, self.tags, self.ids, self.words = [], [], [], [], []
        self.feed(content)
        self.close()
        self.faults += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} closes nothing")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def pictures(content):
    """Every SVG of the page, parsed as XML. Raises ParseError."""
    found = re.findall(r"<svg\b.*?</svg>", content, re.DOTALL)
    return [ElementTree.fromstring(svg) for svg in found]


def coordinates(picture):
    """All numbers by which a picture is drawn."""
    for element in picture.iter():
        for name, value in element.attrib.items():
            if name in ("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "viewBox"):
                yield from re.findall(r"[^\sMLHVZahlvz,]+", value)
