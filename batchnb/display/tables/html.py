"""A table of jobs or batches as HTML. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchnb import units
from batchnb.display.html import Html, head, join, tag, text, view
from batchnb.display.job.html import bar
from batchnb.display.job.words import parts_words

if TYPE_CHECKING:
    from batchnb.display.tables.lines import Table, TableLine

__all__ = ["lines_html", "table_html"]


def table_html(table: Table) -> Html:
    """Draw a table as one static piece of HTML.

    Parameters
    ----------
    table : Table
        Its lines.

    Returns
    -------
    Html
        One element. Its text makes sense without its style.
    """
    as_of = f"As of {units.date_time(table.now)}. Run the cell again to open, cancel or delete a {table.noun}."
    hint = tag("div", as_of, class_="batchnb-hint batchnb-muted")
    return view(lines_html(table), hint, name=table.plural, label=table.plural.capitalize())


def lines_html(table: Table) -> Html:
    """Draw the lines of a table, and what they are lines of."""
    shown = len(table.lines)
    said = units.count(table.total, table.noun)
    if shown < table.total:
        said += f", the newest {shown:,} shown; {table.all_by} lists them all"
    top = head(table.plural.capitalize(), tag("span", said, class_="batchnb-muted"), provenance=table.provenance)
    if not table.lines:
        return Html(top + tag("div", table.empty, class_="batchnb-hint"))
    cost = [tag("th", _cost(table).capitalize(), scope="col", class_="batchnb-number")]
    heads = tag(
        "tr", tag("th", "#", scope="col"), tag("th", table.noun.capitalize(), scope="col"),
        tag("th", table.counted, scope="col", class_="batchnb-number"), tag("th", "Outcome", scope="col"),
        *(cost if table.priced else []), tag("th", "State", scope="col"),
    )  # fmt: skip
    rows = (_line(number, line, table) for number, line in enumerate(table.lines, 1))
    drawn = tag("table", tag("thead", heads), tag("tbody", *rows), class_="batchnb-table batchnb-list")
    return Html(top + tag("div", drawn, class_="batchnb-scroll"))


def _line(number: int, line: TableLine, table: Table) -> Html:
    name = tag("div", tag("b", tag("bdi", text(line.name, 80))))
    parts = (tag("bdi", part, class_="batchnb-whole" if len(part) < 24 else None) for part in line.about)
    about = tag("div", join(" · ", parts), class_="batchnb-muted batchnb-small")
    note = tag("div", tag("bdi", text(line.note, 200)), class_="batchnb-small batchnb-note") if line.note else None
    # What was skipped is no part of a bar: a job of nothing else has an empty one.
    total = sum(parts for _, parts in line.parts)
    done = total - dict(line.parts).get("processing", 0)
    drawn = bar(line.parts, done, total, moving=line.open, label=table.counted, named=table.part_words)
    said = parts_words(line.parts, table.part_words) or "nothing sent"
    return tag(
        "tr", tag("td", number, class_="batchnb-place"), tag("td", name, about, note, class_="batchnb-what"),
        tag("td", f"{line.rows:,}", class_="batchnb-number", data_name=table.counted.lower()),
        tag("td", drawn, tag("div", said, class_="batchnb-small"), class_="batchnb-outcome"),
        tag("td", line.cost, class_="batchnb-number batchnb-cost", data_name=_cost(table)) if table.priced else None,
        tag("td", line.state, class_="batchnb-state"),
    )  # fmt: skip


def _cost(table: Table) -> str:
    return "would cost" if table.provenance.is_free else "cost"
