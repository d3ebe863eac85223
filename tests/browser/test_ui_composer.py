"""JupyterLab in Chromium: the whole path of the composer, from an empty template to a submitted job."""

from __future__ import annotations

import nbformat
import pytest
from forms import until

pytest_plugins = ["lab"]
pytestmark = pytest.mark.ui

START = """\
import batchnb, fake_job, pandas as pd
batchnb.simulate(delay=(0.1, 0.3), seed=1)
reviews = pd.DataFrame({"review": ["good", "bad", "awful", "great", "fine", "poor", "nice"], fake_job.HOSTILE: "x"})
form = reviews.batch.compose("review")"""
BUSY = """\
import pathlib, time
with form._form.view._lock:  # held, it keeps the kernel from going on with what is typed, on whatever thread that is
    pathlib.Path("busy").touch()
    while not pathlib.Path("go").exists(): time.sleep(0.01)"""
AFTER = """\
print(len(await form.job), "rows"); form.insert()"""
CODE = """\
job = reviews.batch.submit(
    "review",
    (
        "Is it good?\\n"
        "{review}"
    ),
    labels=["positive", "negative"],
)"""


def test_a_job_is_composed_tried_submitted_and_left_as_code(lab, browser):
    path = lab.write("compose", START, BUSY, AFTER)
    with lab.open(browser, path) as page:
        page.run(0)
        form = page.raw.locator(".batchnb-compose").first
        form.get_by_text("7 rows: 7 to send").wait_for()
        page.run(1)
        until((path.parent / "busy").exists)
        form.get_by_label("Template").click()
        page.raw.keyboard.type("Is it good?\n")  # held back by the page after its first letter, but the click is not
        form.get_by_role("button", name="{review}").click()
        (path.parent / "go").touch()
        form.get_by_label("Reply").select_option("one of the labels")
        form.get_by_label("Labels").fill("positive")
        form.get_by_text("labels= needs at least two labels").wait_for()
        assert form.get_by_role("button", name="Try 5 rows").is_disabled()
        form.get_by_label("Labels").fill("positive, negative")
        form.locator("button:enabled", has_text="Try 5 rows").click()
        form.get_by_role("columnheader", name="review_label (simulated)").wait_for()
        form.get_by_text("7 rows: 2 to send · 5 reused").wait_for()
        form.locator("button:enabled", has_text="Submit 7 rows").click()
        form.get_by_role("button", name="Really submit?").click()
        # The form has given its place to the job, with its code, and that to a summary.
        page.see("7 rows: 7 succeeded")
        assert page.raw.locator(".batchnb-compose").get_by_label("Template").count() == 0
        assert page.raw.evaluate("window.pwned") is None
        page.run(2)
        page.raw.get_by_text("7 rows", exact=True).wait_for()
        page.raw.wait_for_function(
            "code => window.jupyterapp.shell.currentWidget.content.widgets.some("
            "cell => cell.model.sharedModel.getSource() === code)", arg=CODE,
        )  # fmt: skip
        page.save()

    (output,) = nbformat.read(path, as_version=4).cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert output.data["text/plain"].startswith(f"{CODE}\n\n[SIMULATED] review → review_label · Ended")
