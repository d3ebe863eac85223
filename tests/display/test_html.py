"""A snapshot in, HTML or text out: what is said, and that nothing shown can act."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import fake_job
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page import TAGS, Page

from batchnb.answers.provenance import Provenance
from batchnb.display.html import Html, tag, text
from batchnb.display.job.html import BATCHES_SHOWN, summary_html
from batchnb.display.job.text import line_text, preview_text, summary_text
from batchnb.display.shown.preview import Preview, PreviewRow
from batchnb.display.shown.preview_html import preview_html
from batchnb.display.snapshot import ErrorKind, Usual
from batchnb.units import ago, clean, duration, money, span

SNAPSHOTS = {
    "nothing sent": fake_job.running(0, 0, status="submitting"),
    "zero counts": fake_job.running(0, 8),
    "half done": fake_job.running(6),
    "ended": fake_job.ended(),
    "canceled": fake_job.canceled(fake_job.running(6)),
    "hostile": fake_job.ended(
        name=fake_job.HOSTILE,
        model=fake_job.HOSTILE,
        note=fake_job.HOSTILE,
        errors=(ErrorKind(fake_job.HOSTILE, 3, fake_job.HOSTILE),),
        job_id=fake_job.HOSTILE,
    ),
}
PREVIEW = Preview(
    rows=(
        PreviewRow(
            0, "a", (("Classify: ", False), ("good\nfood", True), ("!", False)), None, '{\n  "a": "</pre><b>x"\n}'
        ),
        PreviewRow(1, fake_job.HOSTILE, ((fake_job.HOSTILE, True),)),
        PreviewRow(2, "c", None, "skipped: review is missing"),
    ),
    total_rows=3_000, to_send=2_875, reused=40, skipped=85, model="claude-haiku-4-5", system="Be brief.",
    input_tokens=120_000, cost=0.0612, provenance=Provenance.API,
)  # fmt: skip


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_view_is_well_formed_and_holds_only_our_own_elements(name):
    page = Page(summary_html(SNAPSHOTS[name]))
    assert page.open == []
    assert set(page.tags) <= TAGS
    assert not [key for key, _ in page.attributes if key.startswith("on") or key in ("src", "href")]
    assert "url(" not in page.css
    assert "@import" not in page.css


@given(st.text(), st.text(), st.text())
def test_no_text_whatever_becomes_markup(name, note, kind):
    """Same elements as with harmless text, and only characters that every encoder takes."""
    calm = fake_job.ended(name="x", note="x", errors=(ErrorKind("x", 1, "x"),))
    hostile = replace(calm, name=name, note=note or "x", errors=(ErrorKind(kind, 1, name or "x"),))
    assert Page(summary_html(hostile)).tags == Page(summary_html(calm)).tags
    summary_html(hostile).encode()
    summary_text(hostile).encode()
    assert line_text(hostile).splitlines() == [line_text(hostile)]


def test_control_characters_direction_marks_and_length_are_made_harmless():
    assert clean("a\x1b[31mb\x07\x00") == "a␛[31mb␇␀"
    assert clean("user\u202egnp.exe\u2066\u200f") == "user�gnp.exe��"
    assert clean("\ud800x\x9b") == "�x�"
    assert clean("a\r\nb\tc\u2028d") == "a b c d"
    assert clean("a\r\nb\tc", lines=True) == "a\nb\tc"
    assert clean("x" * 5_000_000, 10) == "xxxxxxxxxx… (5,000,000 characters)"
    assert clean("👩‍🚀 한국어 שלום") == "👩‍🚀 한국어 שלום"
    assert text("<\"&'>") == "&lt;&quot;&amp;&#x27;&gt;"


def test_a_running_job_is_said_in_words_and_numbers():
    snapshot = fake_job.running(6, 8, outcomes={"pending": 2_915, "skipped": 85}, reused=40, simulated=False)
    for said in (Page(summary_html(snapshot)).text, summary_text(snapshot)):
        assert "1,788 succeeded · 12 errored · 600 processing · 600 not yet sent" in said
        assert "6 of 8 batches ended · 4 min 05 s · cost $1.26 so far · about $2.10 expected in all" in said
        assert "3,000 rows: 85 skipped, nothing to send (40 reused, not bought again)" in said
        assert "review → label · In progress · claude-haiku-4-5" in said


def test_an_ended_job_says_every_outcome_and_is_no_success_by_itself():
    for said in (Page(summary_html(fake_job.ended())).text, summary_text(fake_job.ended())):
        assert "Ended, 15 rows failed" in said
        assert "3,000 rows: 2,900 succeeded · 12 errored · 3 invalid · 85 skipped, nothing to send" in said
        assert "12 × overloaded_error, such as row 301" in said
        assert "3 × the reply is none of the labels, such as row 77" in said
        assert "job.retry() asks 12 of the failed again" in said
        assert "14 min 02 s · cost $2.10" in said
    fine = fake_job.ended(outcomes={"succeeded": 3_000}, errors=())
    assert "Ended ·" in line_text(fine)
    assert "Ended, 12 rows failed, 1,200 rows canceled" in line_text(fake_job.canceled(fake_job.running(6)))
    assert "Ended, 1 row pending" in line_text(fake_job.ended(outcomes={"pending": 1}))


def test_the_bar_has_a_role_its_numbers_and_a_part_for_each_state():
    page = Page(summary_html(fake_job.running(6, 8)))
    attributes = dict(page.attributes)
    assert attributes["role"] in ("progressbar", "group")
    assert ("role", "progressbar") in page.attributes
    assert attributes["aria-valuemax"] == "3000"
    assert attributes["aria-valuenow"] == "1800"
    assert attributes["aria-valuetext"] == "1,788 succeeded · 12 errored · 600 processing · 600 not yet sent"
    grown = [value for key, value in page.attributes if key == "style"]
    assert grown == ["flex-grow:1788", "flex-grow:12", "flex-grow:600", "flex-grow:600"]


def test_while_counts_are_zero_by_contract_the_bar_shows_activity_and_no_progress():
    page = Page(summary_html(fake_job.running(0, 10)))
    assert "batchnb-active" in page.classes()
    assert dict(page.attributes)["aria-valuenow"] == "0"
    assert "3,000 processing" in page.text
    assert "succeeded" not in page.text
    assert "prefers-reduced-motion" in page.css


@pytest.mark.parametrize("name", ["ended", "canceled", "hostile"])
def test_an_ended_job_keeps_still(name):
    left_open = replace(SNAPSHOTS[name], batches=(fake_job.batch(0, ended=False),))
    assert "batchnb-active" not in Page(summary_html(SNAPSHOTS[name])).classes()
    assert "batchnb-active" not in Page(summary_html(left_open)).classes()


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("simulated", [True, False])
def test_the_badge_is_there_if_and_only_if_answers_are_simulated(name, simulated):
    provenance = Provenance.of("its id" if simulated else None)
    snapshot = replace(SNAPSHOTS[name], provenance=provenance)
    for said in (summary_html(snapshot), summary_text(snapshot), line_text(snapshot)):
        assert ("SIMULATED" in said) == simulated
    assert summary_text(snapshot).startswith("[SIMULATED]") == simulated
    preview = replace(PREVIEW, provenance=provenance)
    assert ("SIMULATED" in preview_html(preview)) == ("SIMULATED" in preview_text(preview)) == simulated


def test_cost_is_honest():
    assert "unknown price" in summary_text(fake_job.ended(cost=None))
    assert "would have cost $2.10" in summary_text(fake_job.ended(simulated=True))
    assert "would have" not in summary_text(fake_job.ended())
    assert [money(x) for x in (0.0, 1_234.5, 0.42, 0.0042, 0.00001)] == [
        "$0.00", "$1,234.50", "$0.42", "$0.0042", "under $0.0001",
    ]  # fmt: skip


def test_durations_keep_their_width_within_a_unit():
    assert [duration(x) for x in (0, 59.9, 60, 3_599, 3_840, 90_000)] == [
        "0 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 04 min", "1 d 01 h",
    ]  # fmt: skip


def test_a_long_list_of_errors_is_cut_and_the_rest_counted():
    errors = tuple(ErrorKind(f"kind {number}", 20 - number) for number in range(12))
    said = summary_text(fake_job.ended(errors=errors))
    assert "kind 7" in said
    assert "kind 8" not in said
    assert "42 of 4 other kinds" in said


def test_a_preview_marks_what_was_filled_in():
    source = preview_html(PREVIEW)
    page = Page(source)
    assert set(page.tags) <= TAGS
    assert "Classify: <mark>good\nfood</mark>!" in source
    assert "3,000 rows: 2,875 to send · 40 reused, not bought again · 85 skipped, nothing to send" in page.text
    assert "about 120,000 input tokens · at most $0.0612 · nothing was sent" in page.text
    assert "skipped: review is missing" in page.text
    assert "Request as JSON" in page.text
    assert '"a": "</pre><b>x"' in page.text
    text = preview_text(PREVIEW)
    assert "    Classify: ⟦good\n    food⟧!" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_preview_of_an_endless_prompt_is_cut():
    row = PreviewRow(0, "0", (("x" * 1_500, False), ("y" * 5_000_000, True), ("z", False)))
    said = preview_text(replace(PREVIEW, rows=(row,)))
    assert len(said) < 5_000
    assert "y… (5,000,000 characters)⟧…" in said


def test_importing_the_views_loads_no_front_end():
    code = (
        "import sys, batchnb.display, batchnb.display.kernel.wait; print([m for m in ('ipywidgets', 'IPython', 'tqdm', "
    )
    code += "'nest_asyncio', 'anthropic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_element_escapes_all_that_is_no_markup_of_its_own():
    made = tag("b", "<i>", tag("i", "x"), Html("&amp;"), None, title='"<', hidden=True, lang=None, aria_label="a")
    assert made == '<b title="&quot;&lt;" hidden aria-label="a">&lt;i&gt;<i>x</i>&amp;</b>'


def test_how_long_a_job_usually_takes_is_said_as_a_range_and_where_it_comes_from():
    def said(**fields: object) -> str:
        return summary_text(fake_job.running(6, **fields))

    assert "usually 3 to 19 min in all, from 12 earlier batches" in said(usual=Usual(190.0, 1_130.0, 12))
    assert "usually" not in said(usual=None)
    assert "usually" not in said(usual=Usual(190.0, 1_130.0, 12), status="ended")
    assert "longer than usual (1 to 3 min, from 12 earlier batches)" in said(usual=Usual(100.0, 150.0, 12))
    # Batches made later end later; one that is still to be sent, later still.
    late = replace(fake_job.batch(0, ended=False), created_at=1_600.0)
    assert fake_job.running(0, batches=(late,), usual=Usual(60.0, 120.0, 3), unsent=0).usually == (660.0, 720.0)
    assert fake_job.running(6, 8, usual=Usual(60.0, 120.0, 3)).usually == (305.0, 365.0)
    assert fake_job.running(10, usual=Usual(60.0, 120.0, 3)).usually is None


def test_a_span_of_time_is_never_narrower_than_it_is():
    assert [span(*pair) for pair in ((1.2, 4.1), (0.2, 0.4), (70, 89), (70, 91), (240, 1_200), (1_800, 6_000))] == [
        "1 to 5 s", "up to 1 s", "70 to 89 s", "1 to 2 min", "4 to 20 min", "up to 2 h",
    ]  # fmt: skip


def test_the_last_check_and_its_failure_are_said():
    assert "checked 20 s ago" in summary_text(fake_job.running(6))
    failed = summary_text(fake_job.running(6, failing=True))
    assert "last check failed, last answer 20 s ago" in failed
    assert " checked" not in failed
    assert "last check failed" in summary_text(fake_job.running(6, failing=True, checked_at=None))
    assert "check" not in summary_text(fake_job.ended(failing=True))
    assert [ago(seconds) for seconds in (0, 9.9, 10, 59, 61, 3_700, 90_000)] == [
        "just now", "just now", "10 s ago", "50 s ago", "1 min ago", "1 h 01 min ago", "1 d 01 h ago",
    ]  # fmt: skip


def test_the_time_to_expiry_is_said_when_it_matters():
    def said(hours: float) -> str:
        return summary_text(fake_job.running(6, now=87_400.0 - hours * 3600))

    assert "expires" not in said(7)
    assert "what is not answered in 5 h 30 min expires" in said(5.5)
    assert "what is not answered in 4 min expires" in said(0.075)
    assert "expires" not in summary_text(fake_job.ended(now=87_000.0))


def test_batches_are_listed_with_their_ids_states_and_times():
    said = Page(summary_html(fake_job.running(2, 3))).text
    for part in (
        "msgbatch_0000",
        "300 succeeded",
        "00:16:40",
        "1 min 40 s",
        "288 succeeded · 12 errored",
        "in progress",
    ):
        assert part in said
    new = replace(fake_job.batch(0, ended=False), id=None, state="submitting", created_at=None)
    assert "not named yet" in Page(summary_html(fake_job.running(0, batches=(new,)))).text


def test_of_many_batches_those_at_work_or_in_trouble_are_listed():
    batches = [fake_job.batch(number, ended=number not in (3, 70)) for number in range(200)]
    batches[100] = replace(batches[100], state="lost")
    page = Page(summary_html(fake_job.running(0, batches=tuple(batches))))
    assert page.tags.count("tr") == BATCHES_SHOWN + 1
    for listed in ("msgbatch_0003", "msgbatch_0070", "msgbatch_0100", "msgbatch_0199"):
        assert listed in page.text
    assert "and 170 more batches: job.batches lists them all" in page.text


def test_a_summary_of_an_open_job_says_when_it_was_true_and_where_to_see_more():
    for said in (Page(summary_html(fake_job.running(6))).text, summary_text(fake_job.running(6))):
        assert 'As of 1970-01-01 00:20 UTC. The job goes on: run the cell again, or batchnb.attach("job_1")' in said
    assert "goes on" not in summary_text(fake_job.ended())
