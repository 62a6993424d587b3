from datetime import UTC, datetime

from federation.statistics.metrics import render_metrics
from federation.statistics.reports import WorkerReport

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def report(counters: dict[str, object], number: int = 0) -> WorkerReport:
    return WorkerReport("proxy", number, 1, 5, NOW, (), counters)


class TestRender:
    def test_counters_have_labels(self) -> None:
        """A mapping becomes one sample a label; numbers that only rise end in _total."""
        text = render_metrics([report({"drops": {"too_short": 2}, "renewals": 4})], NOW)
        assert 'biebroam_drops_total{role="proxy",worker="0",reason="too_short"} 2\n' in text
        assert 'biebroam_renewals_total{role="proxy",worker="0"} 4\n' in text

    def test_nested_counters_have_the_outer_label(self) -> None:
        """What is counted for each home server carries its key; what is no number is left out."""
        counters: dict[str, object] = {"home_servers": {"east/radius1": {"outstanding": 3, "state": "up"}}}
        text = render_metrics([report(counters)], NOW)
        assert 'biebroam_home_server_outstanding{role="proxy",worker="0",home_server="east/radius1"} 3\n' in text
        assert "up" not in text.replace("worker_up", "")

    def test_each_family_is_declared_once(self) -> None:
        """Samples of several workers stand together under one TYPE line, as the format wants."""
        text = render_metrics([report({"outstanding": 1}), report({"outstanding": 2}, 1)], NOW)
        lines = text.splitlines()
        at = lines.index("# TYPE biebroam_outstanding gauge")
        assert lines[at + 1].endswith('worker="0"} 1')
        assert lines[at + 2].endswith('worker="1"} 2')
        assert len([line for line in lines if line.startswith("# TYPE")]) == len(
            {line for line in lines if line.startswith("# TYPE")}
        )

    def test_label_values_are_escaped(self) -> None:
        """A quote, a backslash or a line feed in a value breaks no line."""
        text = render_metrics([report({"answers": {'a"b\\c\nd': 1}})], NOW)
        assert r'code="a\"b\\c\nd"' in text

    def test_revision_is_there(self) -> None:
        """Which snapshot a worker runs can be watched."""
        assert 'biebroam_snapshot_revision{role="proxy",worker="0"} 5\n' in render_metrics([report({})], NOW)
