"""The reference page at /docs: the OpenAPI document as plain HTML, without a script and without another host."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid; border-radius: .25rem; }
article { border-top: 1px solid; padding: .5rem 0; }
h3 code { font-size: 1.05rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top; }
"""

_METHODS = ("get", "post", "put", "patch", "delete")


def render_reference(document: Mapping[str, Any]) -> str:  # Any: an OpenAPI document is JSON of many shapes
    """The page for an OpenAPI document that this program made itself."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if operation := item.get(method):
                by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(
                    _render_operation(method, path, operation)
                )
    tags = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    order = [tag for tag in tags if tag in by_tag] + [tag for tag in by_tag if tag not in tags]
    about = document["info"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(about["title"])}</title><link rel="stylesheet" href="/docs/style.css"></head><body>',
            f"<h1>{escape(about['title'])} {escape(about['version'])}</h1>{_paragraphs(about.get('description', ''))}",
            '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p><nav><ul>',
            *(f'<li><a href="#{escape(tag)}">{escape(tag)}</a></li>' for tag in order),
            "</ul></nav><main>",
            *(
                f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>{_paragraphs(tags.get(tag, ""))}'
                f"{''.join(by_tag[tag])}</section>"
                for tag in order
            ),
            "</main></body></html>",
        ]
    )


def _render_operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = [
        (f"{parameter['name']} ({parameter['in']})", parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    answers = [(status, answer.get("description", "")) for status, answer in operation["responses"].items()]
    bodies = [
        (media_type, content.get("schema", {}).get("$ref", "").rpartition("/")[2])
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    return (
        f'<article id="{escape(operation["operationId"])}">'
        f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
        f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>"
        f"{_paragraphs(operation.get('description', ''))}"
        f"{_table('Parameters', parameters)}{_table('Body', bodies)}{_table('Answers', answers)}</article>"
    )


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>" for name, text in rows]
    return f"<h4>{title}</h4><table>{''.join(lines)}</table>" if lines else ""


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part.strip())}</p>" for part in text.split("\n\n") if part.strip())
