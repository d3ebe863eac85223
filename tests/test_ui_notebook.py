"""Notebook 7 in Chromium: what holds in JupyterLab holds there too."""

from __future__ import annotations

import re

import pytest
from ui_cells import AFTER, AWAIT, BUSY, START

pytest_plugins = ["lab"]
pytestmark = pytest.mark.ui


def test_the_view_moves_while_a_cell_computes_and_cancels_during_await(notebook, browser):
    path = notebook.write("moves", START, BUSY, AWAIT, AFTER)
    with notebook.open(browser, path) as page:
        page.run_all()
        (seen,) = page.read(r"saw (\d) ended")
        page.wait_for_batches(int(seen))
        assert not page.shows("done computing")
        (path.parent / "shown").touch()
        page.see("done computing")

        page.see("now waiting")
        page.cancel()
        page.see("waited for 60 rows")
        page.see("the next cell ran")
        page.views.get_by_text(re.compile(r"Ended, \d+ rows? canceled")).wait_for()
