"""Notebook 7 in Chromium: what holds in JupyterLab holds there too."""

from __future__ import annotations

import pytest
from ui_checks import check_that_the_view_moves_and_cancels_during_await

pytest_plugins = ["lab"]
pytestmark = pytest.mark.ui


def test_the_view_moves_while_a_cell_computes_and_cancels_during_await(notebook, browser):
    check_that_the_view_moves_and_cancels_during_await(notebook, browser)
