"""JupyterLab in Chromium: views move, cancel, come back, stay readable in the saved file, and let no text do harm."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from contrast import measure
from ui_cells import AFTER, ATTACH, AWAIT, ENDED, EVERY_PART, FACTS, RESULT, SIMULATE, START, SUBMIT, TRICKED
from ui_checks import CANCELED, check_that_the_view_moves_and_cancels_during_await

from batchnb.display.job.words import SEGMENTS

pytest_plugins = ["lab"]
pytestmark = pytest.mark.ui


def test_the_view_moves_while_a_cell_computes_and_cancels_during_await(lab, browser):
    check_that_the_view_moves_and_cancels_during_await(lab, browser)


def test_cancel_works_while_a_cell_blocks_in_result(lab, browser):
    path = lab.write("result", START, RESULT, AFTER)
    with lab.open(browser, path) as page:
        page.run_all()
        page.see("now waiting")
        page.wait_for_batches(1)
        page.cancel()
        page.see("waited for 60 rows")
        page.see("the next cell ran")
        page.views.get_by_text(CANCELED).wait_for()


def test_after_a_reload_of_the_page_the_view_is_back_and_moves_and_cancels(lab, browser):
    path = lab.write("reload", START, AWAIT)
    with lab.open(browser, path) as page:
        page.run_all()
        page.see("now waiting")
        page.wait_for_batches(1)
        page.reload()
        # The kernel is still in the middle of the second cell.
        page.wait_for_batches(1)
        page.wait_for_movement()
        assert page.views.count() == 1
        page.cancel()
        page.views.get_by_text(CANCELED).wait_for()


def test_after_a_restart_of_the_kernel_the_same_cells_go_on_with_the_same_job(lab, browser):
    path = lab.write("restart", SIMULATE, SUBMIT, FACTS, ATTACH)
    with lab.open(browser, path) as page:
        page.run(0, 1)
        page.views.get_by_text("of 10 batches ended").wait_for()
        page.run(2)
        facts = r"(\d+) has (\S+) (\S+) (\S+) (\d+) asked"
        kernel, *first = page.read(f"kernel {facts}")
        assert first[1] == first[2]
        assert first[1].count("msgbatch_") == 10

        page.restart_kernel()
        page.run(0, 1, 2)
        again, *second = page.read(f"kernel (?!{kernel} ){facts}")
        assert second == first
        assert page.views.count() == 1
        page.wait_for_movement()

        page.restart_kernel()
        page.run(0, 3, 2)
        _, *third = page.read(f"kernel (?!{again} ){facts}")
        assert third == first
        attached = page.output(3)
        attached.get_by_text("of 10 batches ended").wait_for()
        page.cancel(attached)
        attached.get_by_text(CANCELED).wait_for()


def test_the_saved_notebook_tells_what_happened_without_a_kernel_and_no_secrets(lab, browser, tmp_path):
    path = lab.write("saved", ENDED, "answers = await job", AFTER)
    said = "Ended, 12 rows failed"
    with lab.open(browser, path) as page:
        page.run_all()
        page.see("the next cell ran")
        page.views.get_by_text(said).wait_for()
        page.reload()
        page.views.get_by_text(said).wait_for()
        assert page.views.get_by_role("progressbar").get_attribute("aria-valuenow") == "59"

    text = path.read_text()
    saved = nbformat.reads(text, as_version=4)
    (output,) = saved.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    for shown in output.data.values():
        assert said in shown
    assert "vnd.jupyter.widget" not in text
    for secret in (lab.key, "sk-ant", str(lab.root), str(path.parent), str(Path.home())):
        assert secret not in text, secret

    # Now without a kernel; and, as after any change from outside, untrusted, so that style and roles are taken away.
    saved.metadata.pop("kernelspec")
    saved.metadata.pop("language_info", None)
    nbformat.write(saved, path)
    with lab.open(browser, path, kernel=False) as page:
        page.views.get_by_text(said).wait_for()
        assert not page.shows("Error displaying widget")
        assert "47 succeeded" in page.views.inner_text()

    exported = tmp_path / "saved.html"
    exported.write_text(to_html(saved))
    page = browser.new_page()
    page.route(re.compile("^http"), lambda route: route.abort())
    page.goto(exported.as_uri(), wait_until="commit")
    page.locator(".batchnb-job").get_by_text(said).wait_for()
    page.close()


def to_html(notebook: nbformat.NotebookNode) -> str:
    from nbconvert import HTMLExporter

    return HTMLExporter().from_notebook_node(notebook)[0]


def test_the_table_of_jobs_opens_cancels_and_deletes_by_keyboard(lab, browser):
    path = lab.write("table", START, "batchnb.jobs()")
    with lab.open(browser, path) as page:
        page.run_all()
        table = page.output(1).locator(".batchnb-jobs")
        table.get_by_text("In progress").wait_for()

        def press(name: str) -> None:
            button = table.locator(".batchnb-actions").first.get_by_role("button", name=name, exact=True)
            button.focus()
            page.raw.keyboard.press("Space")

        assert table.get_by_label("Job").input_value()
        press("Open")
        opened = table.locator(".batchnb-job")
        opened.get_by_text("of 10 batches ended").wait_for()
        fold = opened.locator("summary")
        assert not opened.locator("table").is_visible()
        fold.focus()
        page.raw.keyboard.press("Enter")
        opened.locator("table").wait_for()
        page.wait_for_batches(1)
        assert opened.locator("table").is_visible(), "it stays open when the batches change"
        press("Cancel")
        press("Really cancel?")
        table.locator("tr", has_text="moods").get_by_text("Ended").wait_for()
        press("Delete")
        press("Really delete?")
        table.get_by_text("There are no jobs in this ledger yet").wait_for()
        assert table.locator(".batchnb-job").count() == 0


def test_text_from_data_is_inert_in_views_previews_and_errors(lab, browser):
    path = lab.write("hostile", *TRICKED)
    with lab.open(browser, path) as page:
        dialogs = []
        page.raw.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.run_all()
        page.see("the next cell ran")
        ended, live, preview = (page.output(number).locator(".batchnb-job") for number in range(3))
        ended.get_by_text("Ended, 5 rows failed").wait_for()
        live.get_by_text("0 of 1 batch ended").wait_for()
        for view in (live, ended, preview):
            text = view.inner_text()
            assert "<img src=x onerror=" in text
            assert not re.search("[\x1b\u202e]", text)
            assert view.locator("img, script, iframe, object, embed, link, [onerror], [onload]").count() == 0
        live.get_by_role("button", name="Cancel", exact=True).wait_for()
        assert page.raw.evaluate("window.pwned") is None
        assert dialogs == []
        assert page.raw.locator("img[src=x]").count() == 0
        page.output(4).locator("mjx-container").wait_for()
        assert preview.inner_text().count("$") >= 2
        assert page.raw.locator(".batchnb-job mjx-container").count() == 0


def test_every_word_of_a_view_and_every_part_of_its_bar_is_legible_on_light_and_dark(lab, browser):
    path = lab.write("legible", *EVERY_PART)
    poor = []
    with lab.open(browser, path) as page:
        page.run_all()
        page.see("the next cell ran")
        page.output(1).get_by_text("Ended, 12 rows failed").wait_for()
        for number, theme in enumerate(["JupyterLab Dark", "JupyterLab Light"]):
            with page.theme(theme):
                # One of the two running jobs for each theme, since the question goes away by itself.
                asking = page.output(0).locator(".batchnb-job").nth(number)
                page.ask_to_cancel(asking)
                measured = [measure(view) for view in (asking, *page.views.all())]
            texts = [text for texts, _ in measured for text in texts]
            parts = [part for _, parts in measured for part in parts]
            assert len(texts) > 20
            assert {part.what.split(maxsplit=1)[1] for part in parts} >= set(SEGMENTS.values())
            poor += [f"{theme}: {text}" for text in texts if text.ratio < text.needed]
            poor += [f"{theme}: {part}" for part in parts if part.ratio < 3]
    assert not poor, "\n".join(sorted(set(poor)))
