"""The notebooks run from top to bottom, as a person would run them."""

from __future__ import annotations

import os

import nbformat
import pytest
from executed import ROOT, run

QUICKSTART = ROOT / "notebooks" / "01-quickstart.ipynb"


def outputs(notebook: nbformat.NotebookNode, mime: str) -> str:
    found = [
        output["data"][mime]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output and mime in output["data"]
    ]
    return "\n".join(found)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """The quick start, run twice on one ledger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHNB_HOME", str(tmp_path_factory.mktemp("home")))
        for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
            patch.delenv(name)
        return run(QUICKSTART), run(QUICKSTART)


def test_the_quick_start_labels_its_reviews_without_a_key(quickstart):
    text = outputs(quickstart[0], "text/plain")
    assert "succeeded" in text
    assert "missing value in 'review'" in text
    assert "SIMULATED" in text


def test_the_quick_start_draws_a_chart_and_a_table_of_errors(quickstart):
    first = quickstart[0]
    assert outputs(first, "image/png")
    (errors,) = [cell for cell in first.cells if cell.source == "job.errors()"]
    assert "retryable" in str(errors.outputs)


def test_the_saved_quick_start_holds_the_static_summary_of_the_job(quickstart):
    html = outputs(quickstart[0], "text/html")
    assert "SIMULATED" in html
    assert "234" in html or "232" in html


def test_the_quick_start_run_again_from_the_top_sends_nothing_and_gives_the_same_labels(quickstart):
    def table(notebook):
        (cell,) = [cell for cell in notebook.cells if "await job" in cell.source]
        return cell.outputs[-1]["data"]["text/plain"]

    first, second = quickstart
    assert table(first) == table(second)
    (cost,) = [cell.outputs[-1]["data"]["text/plain"] for cell in second.cells if cell.source.startswith("job.cost")]
    assert "requests=232" in cost


def test_the_notebooks_are_kept_without_outputs():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert not [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
