"""The fixtures of the form's tests: ``pytest_plugins = ["composer_fixtures"]`` brings them into a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from forms import Handle, settled

from batchnb import Workspace
from batchnb.display.form import latest
from batchnb.display.job import screen
from batchnb.jobs import composer


@pytest.fixture
def handles(monkeypatch) -> list[Handle]:
    """Pretend that a kernel runs this test, and keep what is displayed where."""
    made: list[Handle] = []

    def display(bundle: dict[str, Any], *, raw: bool, display_id: bool) -> Handle:
        made.append(Handle())
        made[-1].update(bundle, raw=raw)
        return made[-1]

    monkeypatch.setattr(screen, "has_front_end", lambda: True)
    monkeypatch.setattr(composer, "has_front_end", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(latest, "PAUSE", 0.01)
    return made


@pytest.fixture
def frame() -> pd.DataFrame:
    texts = ["good", "bad", "so so", "awful", "great", None, "good", "fine", "broken", "lovely", "poor", "nice"]
    return pd.DataFrame({"review": texts, "stars": range(12)}, index=[f"r{number}" for number in range(12)])


@pytest.fixture
def compose(frame: pd.DataFrame, workspace: Workspace, handles: list[Handle]) -> Callable[..., Any]:
    """Open a form and wait for its preview."""

    def opened(*args: Any, **options: Any) -> Any:
        form = frame.batch.compose("review", *args, workspace=workspace, **options)
        settled(form)
        return form

    return opened
