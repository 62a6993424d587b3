"""The chart of the measurements."""

from xml.etree import ElementTree as ET

from tests.load.chart import Bar, draw_chart

NAMESPACE = "{http://www.w3.org/2000/svg}"


def draw(*bars: Bar, name: str = "50 realms") -> ET.Element:
    return ET.fromstring(draw_chart("CPU time", {name: bars}))


class TestDrawChart:
    def test_lengths_are_in_proportion(self) -> None:
        """A peer that costs half has a bar half as long, from zero."""
        _, ours, its = draw(Bar("biebroam", 15.0, ""), Bar("radsecproxy", 30.0, "")).iter(f"{NAMESPACE}rect")
        assert float(ours.attrib["width"]) * 2 == float(its.attrib["width"])

    def test_figures_and_notes_are_written(self) -> None:
        """Nobody has to measure a bar."""
        texts = [element.text for element in draw(Bar("biebroam", 15.04, "(0.50)")).iter(f"{NAMESPACE}text")]
        assert "15.0 us (0.50)" in texts

    def test_names_are_escaped(self) -> None:
        """A name with markup is text."""
        assert "<b>" in [element.text for element in draw(name="<b>").iter(f"{NAMESPACE}text")]

    def test_nothing_measured_is_drawn_too(self) -> None:
        """A peer that answered nothing has no length, and a row without peers no bar."""
        assert len(list(draw(Bar("biebroam", 0.0, "")).iter(f"{NAMESPACE}rect"))) == 2
        assert len(list(draw().iter(f"{NAMESPACE}rect"))) == 1
