"""The examples of the guides, as the second notebook has them: each is run, and gives what it promises."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from executed import ROOT, run

if TYPE_CHECKING:
    import nbformat

pytestmark = pytest.mark.slow

GUIDES = ROOT / "notebooks" / "02-from-the-guides.ipynb"


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nbformat.NotebookNode]:
    """The last code cell under each heading, as it was run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHNB_HOME", str(tmp_path_factory.mktemp("home")))
        for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
            patch.delenv(name)
        notebook = run(GUIDES)
    under, heading = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)[1]
        else:
            under[heading] = cell
    return under


def shown(cell: nbformat.NotebookNode) -> str:
    """Return what a cell shows, as text; a warning would be there too."""
    return "\n".join(output.get("data", {}).get("text/plain", output.get("text", "")) for output in cell.outputs)


EXAMPLES = {
    "Classification with a system prompt": [r"60 rows: 60 succeeded", r"negative\s+succeeded"],
    "Sentiment, keywords and a rating, as JSON": [
        r"60 rows: 60 succeeded",
        r"\[(?:boring|pieces), quality, evening\]\s+1\b",
    ],
    "Product descriptions from several columns": [r"3 rows: 3 succeeded", r"Kettle.+steel, for 35\.50"],
    "A long document, cached": [r"60 rows: 60 succeeded", r"lifetime='1h'", r"hits=[3-5]\d", r"saved=0\.[1-9]"],
    "A PDF, uploaded once and asked many times": [r"60 rows: 60 succeeded", r"contract\.pdf", r"application/pdf"],
    "Fifty thousand rows": [r"50,000 rows: 50,000 succeeded", r"(?:\d\s+10000\s+10000\s+ended\s*){5}"],
    "Failed rows, sent again": [r"\{'succeeded': 60\}"],
    "What will it cost?": [r"60 rows: 60 requests to send", r"Cost +would be about \$0\.00\d+, at most \$0\.01"],
    "Look at a few answers first": [
        r"10 of 10 rows answered",
        r"agree with the gold answers",
        r"The other 50 requests",
    ],
}


def test_every_example_is_looked_at(guides):
    assert set(guides) == {"From the guides", *EXAMPLES}


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_gives_what_it_promises(guides, heading):
    text = shown(guides[heading])
    for pattern in EXAMPLES[heading]:
        assert re.search(pattern, text), f"{pattern}\n{text}"
    assert "Warning" not in text
    assert "SIMULATED" in text or heading == "Failed rows, sent again"


def test_one_file_was_uploaded_for_sixty_questions(guides):
    assert shown(guides["A PDF, uploaded once and asked many times"]).count("contract.pdf") == 1


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_takes_a_few_lines(guides, heading):
    lines = [line for line in guides[heading].source.splitlines() if line.strip()]
    assert len(lines) <= 14
