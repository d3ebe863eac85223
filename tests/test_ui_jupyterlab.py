"""JupyterLab in Chromium: the view moves, its button works while a cell blocks, and the saved notebook is readable."""

from __future__ import annotations

import nbformat
import pytest

pytest_plugins = ["lab"]
pytestmark = pytest.mark.ui

START = """\
import threading, fake_job
from batchnb import waiting
from batchnb.display import show
job = fake_job.FakeJob(fake_job.running(0, name=fake_job.HOSTILE), fake_job.running(1, name=fake_job.HOSTILE),
                       fake_job.running(2, name=fake_job.HOSTILE)).play(hold=True)
show(job);"""
BUSY = """\
import time
while job.snapshot().batches_ended < 2: time.sleep(0.01)
print("a cell ran", "meanwhile")"""
BLOCK = """\
print("now", "blocking", flush=True)
print("waited:", waiting.wait(job.done, 120))"""
AFTER = """\
print("still", "alive")"""


def test_the_view_moves_while_cells_run_and_cancels_while_one_blocks(lab, browser, request):
    path = lab.write("cancel.ipynb", START, BUSY, BLOCK, AFTER)
    page = lab.open(browser, "cancel.ipynb")
    try:
        lab.run_all(page)
        view = page.locator(".batchnb-job")
        view.get_by_text("2 of 10 batches ended").wait_for()
        page.get_by_text("a cell ran meanwhile", exact=True).wait_for()
        page.get_by_text("now blocking").wait_for()
        assert view.get_by_role("progressbar").get_attribute("aria-valuenow") == "600"
        facts = view.locator(".batchnb-facts").inner_text()
        page.wait_for_function("facts => document.querySelector('.batchnb-facts').innerText !== facts", arg=facts)

        # The name of the job is text: no element came of it, and nothing ran.
        assert "<img src=x onerror=" in view.locator(".batchnb-name").inner_text()
        assert view.locator("img, script").count() == 0

        # The cell blocks in a wait; the button's two clicks are handled meanwhile.
        view.get_by_role("button", name="Cancel", exact=True).click()
        view.get_by_role("button", name="Really cancel?").click()
        page.get_by_text("waited: True").wait_for()
        page.get_by_text("still alive", exact=True).wait_for()
        view.get_by_text("Ended, 12 rows failed, 2,400 rows canceled").wait_for()
        assert page.evaluate("window.pwned") is None
        lab.save(page)
    except BaseException:
        page.screenshot(path=lab.root / f"{request.node.name}.png")
        raise
    finally:
        page.close()

    saved = nbformat.read(path, as_version=4)
    (output,) = saved.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "2,400 rows canceled" in output.data["text/plain"]
    assert "2,400 rows canceled" in output.data["text/html"]
    shown = [output.get("text", "") for cell in saved.cells[1:] for output in cell.outputs]
    assert shown == ["a cell ran meanwhile\n", "now blocking\nwaited: True\n", "still alive\n"]
