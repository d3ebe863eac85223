"""The controls of a form, and what they are filled in with: plain ipywidgets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from batchnb import units
from batchnb.display.form.draft import Draft, labels_from, labels_text

__all__ = ["COLUMNS_SHOWN", "Fields", "field"]

#: Columns that have a button of their own.
COLUMNS_SHOWN = 40

_KINDS = ("text", "one of the labels")


class Fields:
    """The controls that are filled in. Needs `ipywidgets`.

    Parameters
    ----------
    columns : sequence of hashable
        The frame's columns.
    draft : Draft
        What they are filled in with at first.
    models : sequence of str
        Models to choose from.
    model : str
        The one that is used where none is chosen.
    defaults : tuple of (str, int)
        For text and for labels: the new column's name, and the longest reply in tokens.
    edited : callable
        Called after each change.

    Attributes
    ----------
    widget : ipywidgets.VBox
    """

    def __init__(
        self, columns: Sequence[Hashable], draft: Draft, models: Sequence[str], model: str,
        defaults: tuple[tuple[str, int], tuple[str, int]], edited: Callable[[], None],
    ) -> None:  # fmt: skip
        self._first = draft
        self._defaults = defaults
        self._edited = edited
        self._inserted = "", ""
        labels = draft.labels or ()
        self.template = field(
            "Textarea", "Template", draft.template or "", rows=4, placeholder="Empty: the column's own text is sent"
        )
        self.kind = field("Dropdown", "Reply", _KINDS[draft.labels is not None], options=_KINDS)
        self.labels = field(
            "Textarea", "Labels", labels_text(labels), rows=2, placeholder="positive, negative: or one a line"
        )
        self.system = field(
            "Textarea", "System", draft.system or "", rows=2, placeholder="Empty: no instructions beside the template"
        )
        self.model = field("Combobox", "Model", draft.model or "", options=list(models), placeholder=model)
        self.into = field("Text", "New column", draft.into or "")
        self.max_tokens = field("Text", "Max tokens", "" if draft.max_tokens is None else str(draft.max_tokens))
        for broad in (self.labels, self.system):
            broad.add_class("batchnb-broad")
        controls = (self.template, self.model, self.kind, self.labels, self.into, self.max_tokens, self.system)
        self.widget = self._laid_out(columns, controls)
        self._redraw()
        self.template.observe(self._typed, "value")
        for control in controls:
            control.observe(self._changed, "value")

    def _laid_out(self, columns: Sequence[Hashable], controls: Sequence[Any]) -> Any:
        import ipywidgets

        template, *others = controls
        insert = ipywidgets.HBox([ipywidgets.Label("Insert"), *self._column_buttons(columns)])
        insert.add_class("batchnb-insert")
        grid = ipywidgets.HBox(others)
        grid.add_class("batchnb-fields")
        box = ipywidgets.VBox([template, insert, grid])
        box.add_class("batchnb-controls")
        return box

    def _column_buttons(self, columns: Sequence[Hashable]) -> list[Any]:
        import ipywidgets

        buttons = []
        for column in columns[:COLUMNS_SHOWN]:
            name = units.clean(f"{{{column}}}", 40)
            button = ipywidgets.Button(
                description=name, tooltip=f"Put {name} at the end of the template", layout={"width": "auto"}
            )
            button.add_class("batchnb-chip")
            button.on_click(lambda _button, column=column: self.insert(column))
            buttons.append(button)
        if len(columns) > COLUMNS_SHOWN:
            more = len(columns) - COLUMNS_SHOWN
            said = ipywidgets.Label(f"and {units.count(more, 'more column')}: type the name in braces")
            said.add_class("batchnb-more")
            buttons.append(said)
        return buttons

    def insert(self, column: Hashable) -> None:
        """Put a column at the end of the template: plain ipywidgets do not know where the cursor is."""
        before, columns = self._inserted
        if self.template.value != before + columns:
            before, columns = self.template.value, ""
        self._append(before, f"{columns}{{{column}}}")

    def _append(self, before: str, columns: str) -> None:
        self.template.value = before + columns
        self._inserted = before, columns

    def _typed(self, change: Any) -> None:
        """Keep the columns inserted where what was typed before the click arrives after it.

        A front end holds back what is typed while the kernel is at something else, but not a click.
        """
        text, (before, columns), self._inserted = change["new"], self._inserted, ("", "")
        more = text.removeprefix(before)
        # What begins as the columns do has them still, or lost them to an edit.
        if before and text.startswith(before) and not more.startswith(columns) and not columns.startswith(more):
            self._append(text, columns)

    def draft(self) -> Draft:
        """Return what the controls are filled in with; a blank one leaves the default."""
        first = self._first
        number = self.max_tokens.value.strip().replace(",", "")
        return Draft(
            column=first.column,
            template=self.template.value or None,
            labels=labels_from(self.labels.value, first.labels or ()) if self._has_labels else None,
            model=self.model.value.strip() or None,
            system=self.system.value or None,
            into=self.into.value or None,
            max_tokens=int(number) if number.isdecimal() else number or None,
            series=first.series,
        )

    def into_of(self, draft: Draft) -> str:
        """Return the new column's name."""
        return draft.into or self._defaults[draft.labels is not None][0]

    @property
    def _has_labels(self) -> bool:
        return bool(self.kind.value == _KINDS[1])

    def _changed(self, _change: object) -> None:
        self._redraw()
        self._edited()

    def _redraw(self) -> None:
        into, tokens = self._defaults[self._has_labels]
        self.into.placeholder = units.clean(into, 80)
        self.max_tokens.placeholder = f"{tokens:,}"
        self.labels.layout.display = None if self._has_labels else "none"


def field(kind: str, label: str, value: object, **options: Any) -> Any:
    """Make a control with its label before it."""
    import ipywidgets

    control = getattr(ipywidgets, kind)(value=value, description=label, layout={"width": "auto"}, **options)
    control.add_class("batchnb-field")
    return control
