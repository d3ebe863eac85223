"""What a front end draws of a widget."""

from __future__ import annotations

from typing import Any


def traits(widget: Any) -> object:
    """Everything a front end draws of a widget, its children and its layout."""
    drawn = {}
    for key, value in widget.get_state().items():
        if isinstance(value, str) and value.startswith("IPY_MODEL_"):
            drawn[key] = traits(getattr(widget, key))
        elif key == "children":
            drawn[key] = [traits(child) for child in widget.children]
        else:
            drawn[key] = value
    return drawn
