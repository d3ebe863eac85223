"""Makes the README's pictures: ``python tests/support/take_screenshots.py [--narrow FOLDER]``.

Each of a running job, one that ended with errors, the list of jobs, an estimate and a pilot, in JupyterLab's light and
dark theme. With ``--narrow``, in a narrow page instead, into another folder. Needs Chromium, as the browser tests do.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from lab import APPS, launch_chromium, serve

PICTURES = Path(__file__).parents[2] / "notebooks" / "pictures"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

SETUP = """\
import batchnb
from batchnb.demo import sample
from batchnb.sim import Fault

simulator = batchnb.simulate(delay=(8, 20), seed=3)
df = sample()
first = df.batch.submit("product", "What could {product} cost?", into="price", progress=False)
await first;"""
# Batches take so long that there is something to say of how long they usually take.
# Some requests fail, and a few replies are cut short.
ERRORS = """\
simulator.inject(
    Fault("errored", share=0.3, error_type="overloaded_error", times=2),
    Fault("max_tokens", share=0.1, after=4),
)
job = df.batch.submit(
    "review",
    "Translate into English: {review}",
    into="english",
    batch_size=24,
    retries=0,
)
answers = await job"""
# Six batches end at once, and the rest not while the pictures are made.
RUNNING = """\
simulator = batchnb.simulate(delay=(1, 6), seed=3)
simulator.inject(Fault("slow_batch", seconds=36_000, after=6, times=-1))
job = df.batch.submit(
    "review",
    "Classify the sentiment of this review: {review}",
    labels=["positive", "negative", "neutral"],
    into="label",
    batch_size=24,
)"""
JOBS = "batchnb.jobs()"
ESTIMATE = """\
df.batch.estimate("review", "Summarize in ten words: {review}", max_tokens=100)"""
# Fonts for the other languages may be missing where the pictures are made.
PILOT = """\
df[df["language"] == "en"].batch.pilot(
    "review",
    "Is this review good or bad? {review}",
    n=6,
    labels=["positive", "negative", "neutral"],
    gold="sentiment",
)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--narrow", metavar="FOLDER", type=Path, help="in a narrow page, into this folder")
    narrow = parser.parse_args().narrow
    folder = narrow or PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        serve(Path(scratch), APPS["lab"]) as lab,
        launch_chromium() as browser,
    ):
        path = lab.write("pictures", SETUP, ERRORS, RUNNING, JOBS, ESTIMATE, PILOT)
        with lab.open(browser, path, width=600 if narrow else 860, height=1400) as page:
            page.run(0, 1)
            page.output(1).get_by_text(re.compile(r"Ended, \d+ rows failed")).wait_for()
            page.run(2)
            page.output(2).get_by_text("6 of 10 batches ended").wait_for()
            page.run(3)
            page.output(3).get_by_text("english").first.wait_for()
            page.run(4, 5)
            page.output(5).get_by_text("as batches").wait_for()
            for name, theme in THEMES.items():
                with page.theme(theme):
                    for number, what in enumerate(("errors", "running", "jobs", "estimate", "pilot"), start=1):
                        areas = page.output(number).locator(".jp-OutputArea-output")
                        area = areas.last if what == "pilot" else areas.first  # a line about its price comes first
                        area.screenshot(path=folder / f"{what}-{name}.png")


if __name__ == "__main__":
    main()
