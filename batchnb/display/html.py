"""Making HTML: the only place that knows markup and escapes text. Pure.

The views are put together from :func:`tag` and :func:`text`, which escape whatever is not markup of their own making:
so no view can forget to. There are no scripts, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from batchnb import units
from batchnb.answers.provenance import Provenance
from batchnb.display.style import CSS

__all__ = ["Html", "dot", "head", "join", "model", "note_html", "style", "tag", "text", "view"]

#: Characters of an attribute's value that are kept.
ATTRIBUTE_LIMIT = 400


class Html(str):
    """Markup, to be shown as it is."""

    __slots__ = ()


def text(value: object, limit: int = 200, *, lines: bool = False) -> Html:
    """Make text inert HTML, for an element's content or a quoted attribute.

    Parameters
    ----------
    value : object
        Anything; ``str()`` of it is shown.
    limit : int
        Characters kept; what was cut is said.
    lines : bool
        Whether line breaks and tabs stay. Otherwise they become spaces.

    Returns
    -------
    Html
        Escaped, cut, and without control characters, direction marks or lone surrogates
        (see :func:`batchnb.units.clean`).
    """
    return Html(html.escape(units.clean(value, limit, lines=lines), quote=True))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Make an element.

    Parameters
    ----------
    name : str
        The element's name.
    *children : object
        Its content: Html stays as it is, None is left out, and everything else is shown as text.
    **attributes : object
        ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``. None and False leave the attribute out,
        True gives it no value.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value, ATTRIBUTE_LIMIT)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inner = "".join(child if isinstance(child, Html) else text(child) for child in children if child is not None)
    return Html(f"<{name}{shown}>{inner}</{name}>")


def join(separator: str, parts: Iterable[str]) -> Html:
    """Put parts one after the other, with text between them."""
    return Html(text(separator).join(part if isinstance(part, Html) else text(part) for part in parts))


def view(*parts: object, name: str, label: str) -> Html:
    """Make a whole view: a style sheet and its parts.

    JupyterLab (MathJax 3) and exports of notebooks (MathJax 2) take what stands between two dollars for mathematics,
    but not within these classes.

    Parameters
    ----------
    *parts : object
        As `tag` takes them.
    name : str
        Leads its own class; empty for a job.
    label : str
        What it is called to who hears it.
    """
    classes = ("batchnb-job", name and f"batchnb-{name}", "mathjax_ignore", "tex2jax_ignore")
    return tag("div", style(), *parts, class_=" ".join(filter(None, classes)), role="group", aria_label=label)


def head(title: str, *beside: Html, provenance: Provenance) -> Html:
    """Draw the head of a view: the mark of what is simulated, a title, and what stands beside it, set apart by dots.

    Parameters
    ----------
    title : str
        What the view shows.
    *beside : Html
        What stands beside it.
    provenance : Provenance
        Where the answers come from.
    """
    badge = tag("span", provenance.badge, class_="batchnb-badge", title="Not answers of the real API")
    parts = (part for each in beside for part in (dot(), each))
    return tag(
        "div", Html(f"{badge} ") if provenance.badge else None, tag("b", title, class_="batchnb-name"), *parts,
        class_="batchnb-head",
    )  # fmt: skip


def dot() -> Html:
    """Draw what stands between the parts of a head where a page takes the style away, which else sets them apart."""
    return tag("span", " · ", class_="batchnb-dot")


def model(name: str) -> Html:
    """Draw the name of a model, in a head."""
    return tag("bdi", text(name, 80), class_="batchnb-model batchnb-muted")


def note_html(note: str) -> Html:
    """Draw a note that a person should read now."""
    return tag("div", tag("bdi", text(note, 400)), class_="batchnb-note", role="note")


def style() -> Html:
    """Return the style sheet as an element; its rules touch nothing but our own classes."""
    return Html(f"<style>{CSS}</style>")
