"""HTML elements from text that is escaped unless it is HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML: made by the functions of this module, or written by hand in the source."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool | None) -> Html:
    """Return an element; `class_` is class, `aria_label` is aria-label, None or False is no attribute."""
    return Html(f"<{tag}{_attributes(attributes)}>{fragment(*children)}</{tag}>")


def fragment(*children: str) -> Html:
    """Return the children one after the other, those escaped that are not Html."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", class_: str | None = None
) -> Html:
    """Return a table whose first column names the rows."""
    return element(
        "table",
        element("caption", caption) if caption else "",
        element("thead", element("tr", *(element("th", name, scope="col") for name in header))),
        element(
            "tbody",
            *(
                element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
                for first, *cells in rows
            ),
        ),
        class_=class_,
    )


def _attributes(attributes: dict[str, str | bool | None]) -> str:
    texts = []
    for name, value in attributes.items():
        html_name = name.rstrip("_").replace("_", "-")
        if value is True:
            texts.append(f" {html_name}")
        elif isinstance(value, str):
            texts.append(f' {html_name}="{escape(value)}"')
    return "".join(texts)
