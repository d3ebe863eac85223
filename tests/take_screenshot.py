"""Makes the README's picture: ``python tests/take_screenshot.py``. Needs Chromium, as the browser tests do."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from lab import launch_chromium, serve_lab

PICTURE = Path(__file__).parent.parent / "notebooks" / "widget.png"

SETUP = """\
import batchnb
from batchnb.demo import sample
batchnb.simulate(delay=(4, 30), seed=3)
df = sample()
# ----"""
EXAMPLE = """\
job = df.batch.submit(
    "review",
    "Classify the sentiment of this review: {review}",
    labels=["positive", "negative", "neutral"],
    into="label",
    batch_size=24,
)"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["BATCHNB_HOME"] = str(root / "home")
        with serve_lab(root) as lab, launch_chromium() as browser:
            lab.write("reviews.ipynb", SETUP, EXAMPLE)
            page = lab.open(browser, "reviews.ipynb", width=860, height=700)
            lab.run_all(page)
            page.locator(".batchnb-job").get_by_text(re.compile(r"[4-6] of 10 batches ended")).wait_for()
            page.locator(".jp-CodeCell").nth(1).screenshot(path=PICTURE)
            page.close()


if __name__ == "__main__":
    main()
