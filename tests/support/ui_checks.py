"""What holds in JupyterLab and in Notebook 7 alike."""

from __future__ import annotations

import re
from typing import Any

from ui_cells import AFTER, AWAIT, BUSY, START

CANCELED = re.compile(r"Ended, \d+ rows? canceled")


def check_that_the_view_moves_and_cancels_during_await(app: Any, browser: Any) -> None:
    """It moves while a cell computes; then Cancel ends a cell that awaits the job, and the next one runs."""
    path = app.write("await", START, BUSY, AWAIT, AFTER)
    with app.open(browser, path) as page:
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
        page.views.get_by_text(CANCELED).wait_for()
