"""The counters of the workers in Prometheus's text format.

A worker's counters are a mapping: a number is one sample, a mapping of numbers is one sample for each label, and a
mapping of mappings is one sample for each label and inner name.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import cast

from federation.statistics.reports import WorkerReport

PREFIX = "biebroam"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What the keys of a mapping are; others are a "name".
_LABELS = {
    "requests": "code",
    "answers": "code",
    "drops": "reason",
    "refusals": "reason",
    "accounting": "result",
    "clients": "client",
    "home_servers": "home_server",
    "peers": "peer",
    "tls_refused": "reason",
    "discovery_refused": "reason",
    "removed_attributes": "type",
    "methods": "method",
}
# What goes up and down; all others only rise.
_GAUGES = frozenset(
    {
        "outstanding",
        "sessions",
        "connections",
        "queued",
        "duplicates_remembered",
        "source_ports",
        "checks_waiting",
        "uptime_seconds",
        "resident_octets",
        "swap_seconds",
        "tls_links",
        "tls_links_up",
        "not_after",
        "seen_at",
        "message_authenticator_required",
        "discovery_realms",
        "discovery_lookups",
        "discovery_waiting",
        "discovery_held",
        "discovery_learned",
    }
)

_Sample = tuple[str, dict[str, str], float]


def render_metrics(reports: Iterable[WorkerReport], now: datetime) -> str:
    """All samples of all workers, each family under one TYPE line, as the format wants it."""
    families: dict[str, list[str]] = {}
    for report in reports:
        common = {"role": report.role, "worker": str(report.number)}
        samples: list[_Sample] = [
            ("worker_up", {}, float(report.is_fresh(now))),
            ("snapshot_revision", {}, float(report.revision)),
            ("snapshot_refused", {}, float(bool(report.refused))),
        ]
        samples.extend(_samples(report.counters))
        for name, labels, value in samples:
            is_gauge = name in {"worker_up", "snapshot_revision", "snapshot_refused"} or any(
                name.endswith(gauge) for gauge in _GAUGES
            )
            full = f"{PREFIX}_{_name(name)}" + ("" if is_gauge else "_total")
            lines = families.setdefault(full, [f"# TYPE {full} {'gauge' if is_gauge else 'counter'}"])
            lines.append(f"{full}{{{_render_labels(common | labels)}}} {value:.10g}")
    return "".join(f"{line}\n" for name in sorted(families) for line in families[name])


def render_days_left(kind: str, days_left: Iterable[tuple[Mapping[str, str], float]]) -> str:
    """The days that each thing of a kind ("certificate", "foreign_list") has left, by its labels."""
    name = f"{PREFIX}_{kind}_days_left"
    lines = [f"{name}{{{_render_labels(labels)}}} {days:.10g}\n" for labels, days in days_left]
    return "".join((f"# TYPE {name} gauge\n", *lines)) if lines else ""


def _samples(counters: Mapping[str, object]) -> Iterator[_Sample]:
    for name, value in counters.items():
        if isinstance(value, Mapping):
            label = _LABELS.get(name, "name")
            for key, inner in cast("Mapping[str, object]", value).items():  # JSON: keys are text
                if isinstance(inner, Mapping):
                    for field, number in cast("Mapping[str, object]", inner).items():  # JSON: keys are text
                        singular = name.removesuffix("s")
                        yield from _nested(f"{singular}_{field}", {label: key}, field, number)
                elif isinstance(inner, (int, float)):
                    yield name, {label: key}, float(inner)
        elif isinstance(value, (int, float)):
            yield name, {}, float(value)


def _nested(name: str, labels: dict[str, str], field: str, value: object) -> Iterator[_Sample]:
    if isinstance(value, (int, float)):
        yield name, labels, float(value)
    elif isinstance(value, Mapping):
        inner_label = _LABELS.get(field, "name")
        for key, number in cast("Mapping[str, object]", value).items():  # JSON: keys are text
            if isinstance(number, (int, float)):
                yield name, labels | {inner_label: key}, float(number)


def _name(text: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in text)


def _render_labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{_name(name)}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
