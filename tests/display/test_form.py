"""The form of ``df.batch.compose``, without a browser: what is set in it, and what it shows."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from fake_job import FakeJob, running
from forms import SECONDS, WIDGET, drawn, settled, until, view
from hypothesis import given, settings
from hypothesis import strategies as st
from widget_traits import traits

from batchnb.answers.provenance import Provenance
from batchnb.display.form import latest
from batchnb.display.form.draft import Draft
from batchnb.display.form.latest import Newest
from batchnb.display.form.widget import ComposeView, Setting
from batchnb.display.shown.preview import Preview, PreviewRow

pytest_plugins = ["composer_fixtures"]


# The form


def test_it_is_published_with_its_code_and_preview_as_html_and_text(compose, handles):
    compose("Is it good? {review}", labels=["yes", "no"])
    (bundle,) = handles[0].bundles
    assert set(bundle) == {WIDGET, "text/html", "text/plain"}
    assert '    "Is it good? {review}",\n    labels=["yes", "no"],' in bundle["text/plain"]
    assert "Is it good? ⟦good⟧" in bundle["text/plain"]
    assert "<mark>good</mark>" in bundle["text/html"]
    assert "&quot;Is it good? {review}&quot;" in bundle["text/html"]
    head = re.search(r'<div class="batchnb-head">.*?</div>', bundle["text/html"])
    assert "SIMULATED" in head[0]  # the style sheet hides the one that the preview itself has


def test_what_it_is_filled_in_with_is_the_draft_and_the_code(compose):
    form = compose()
    assert form.draft == Draft("review")
    assert form.code == 'job = df.batch.submit("review", workspace=workspace)'
    fields = view(form).fields
    fields.template.value = "Grade {review}"
    fields.kind.value = "one of the labels"
    fields.labels.value = "a\nb, c"
    fields.model.value = "claude-sonnet-4-5"
    fields.system.value = "Be brief."
    fields.into.value = "grade"
    fields.max_tokens.value = "1,000"
    draft = Draft("review", "Grade {review}", ("a", "b, c"), "claude-sonnet-4-5", "Be brief.", "grade", 1000)
    assert form.draft == draft
    assert form.code == draft.call("df", workspace="workspace", lead="job = ")
    assert "claude-sonnet-4-5" in view(form).code.value


def test_arguments_that_it_was_opened_with_are_the_draft_until_somebody_edits(compose):
    given = {"labels": [1, 2], "system": "Count.", "model": "claude-haiku-4-5", "into": "n", "max_tokens": 9}
    form = compose("{review}: {stars}", **given)
    assert form.draft.options() == given
    assert form.draft.template == "{review}: {stars}"
    view(form).fields.labels.value = "1, 2, 3"
    assert form.draft.labels == (1, 2, 3)


def test_a_column_is_put_at_the_end_of_the_template(compose):
    form = compose("About ")
    buttons = [one for one in view(form).fields.widget.children[1].children if hasattr(one, "click")]
    assert [button.description for button in buttons] == ["{review}", "{stars}"]
    buttons[1].click()
    assert form.draft.template == "About {stars}"


@pytest.mark.parametrize(("clicks", "arrives", "becomes"), [
    ("r", "Is it good?", "Is it good?{review}"),  # typed before the click, held back by the page
    ("rs", "Is it good?", "Is it good?{review}{stars}"),
    ("r", "I{review} and", "I{review} and"),  # typed after it
    ("r", "I{rev", "I{rev"),  # deleted
    ("rs", "I{review}", "I{review}"),
    ("r", "I", "I"),
    ("r", "Another", "Another"),
])  # fmt: skip
def test_a_column_that_was_inserted_is_kept_when_what_was_typed_before_arrives_late(compose, clicks, arrives, becomes):
    form = compose("I")
    fields = view(form).fields
    for click in clicks:
        fields.insert({"r": "review", "s": "stars"}[click])
    fields.template.set_state({"value": arrives})
    assert form.draft.template == becomes
    fields.template.set_state({"value": f"{becomes}!"})
    assert form.draft.template == f"{becomes}!"


def test_what_arrives_late_may_arrive_in_pieces(compose):
    form = compose("I")
    view(form).fields.insert("review")
    for typed in ("Is", "Is it", "Is it good?"):
        view(form).fields.template.set_state({"value": typed})
    assert form.draft.template == "Is it good?{review}"


def test_every_control_has_a_visible_label_and_buttons_say_what_they_do(compose):
    form = view(compose(labels=["a", "b"]))

    def walk(widget: Any) -> list[Any]:
        return [widget, *(found for child in getattr(widget, "children", ()) for found in walk(child))]

    controls = [
        one for one in walk(form.widget) if hasattr(one, "description") and type(one).__name__ not in {"HTML", "Label"}
    ]
    assert len(controls) == 13
    assert all(one.description.strip() for one in controls)
    assert all(len(one.tooltip) > 15 for one in controls if hasattr(one, "click"))
    assert "kept" in form.try_rows.widget.tooltip


EDITS = {
    "first": {},
    "labels": {"kind": "one of the labels", "labels": "good, bad", "template": "{review}?"},
    "broken": {"template": "{reviw}"},
    "one label": {"kind": "one of the labels", "labels": "good"},
    "long": {"template": "One\n\ntwo {review}", "system": "Be brief", "max_tokens": "7", "into": "x", "model": "m"},
}


@pytest.mark.parametrize("first", EDITS)
@pytest.mark.parametrize("second", EDITS)
def test_editing_from_one_state_to_another_equals_opening_the_other(compose, first, second):
    edited, opened = compose(), compose()
    for form, edits in ((edited, EDITS[first]), (edited, EDITS[second]), (opened, EDITS[second])):
        fields = view(form).fields
        for name in ("template", "kind", "labels", "system", "model", "into", "max_tokens"):
            getattr(fields, name).value = edits.get(name, "text" if name == "kind" else "")
        settled(form)
    assert traits(view(edited).widget) == traits(view(opened).widget)


# The preview


def test_the_rows_shown_are_chosen_by_position_or_at_random(compose):
    form = view(compose())
    assert [row.label for row in form.preview.rows] == ["r0", "r1", "r2", "r3", "r4"]
    form.first.value = 10
    until(lambda: [row.label for row in form.preview.rows] == ["r10", "r11"])
    assert form.try_rows.widget.description == "Try 2 rows"
    form.random.click()
    drawn(form)
    assert [row.position for row in form.preview.rows] == list(form.positions)
    assert len(set(form.positions)) == 5
    assert "Row <bdi>" in form.shown.value


def test_the_estimate_counts_what_would_be_sent(compose):
    form = view(compose())
    assert "12 rows: 10 to send · 1 reused, not bought again · 1 skipped" in form.shown.value
    assert re.search(r"about [\d,]+ input tokens · would cost about \$[\d.]+ expected, at most", form.shown.value)


@pytest.mark.parametrize(("edits", "message"), [
    ({"template": "{reviw}"}, "there is no column &#x27;reviw&#x27;. Did you mean {review}?"),
    ({"template": "no column"}, "The template names no column"),
    ({"kind": "one of the labels", "labels": "a, b, a"}, "labels= names &#x27;a&#x27; twice."),
    ({"kind": "one of the labels", "labels": "a"}, "labels= needs at least two labels"),
    ({"kind": "one of the labels"}, "labels= needs at least two labels"),
    ({"into": "stars"}, "stars"),
    ({"max_tokens": "many"}, "max_tokens is a whole number of at least 1, not &#x27;many&#x27;"),
    ({"max_tokens": "0"}, "max_tokens is a whole number of at least 1, not 0"),
])  # fmt: skip
def test_what_cannot_be_sent_is_said_in_the_librarys_words_and_the_buttons_rest(compose, workspace, edits, message):
    form = view(compose())
    for name, value in edits.items():
        getattr(form.fields, name).value = value
    drawn(form)
    assert message in form.shown.value
    assert "see above" in form.status.value
    for action in (form.try_rows, form.submit):
        assert action.widget.disabled
        assert "see above" in action.widget.tooltip
        action.widget.click()
    assert workspace.jobs().to_frame().empty
    form.fields.template.value, form.fields.kind.value = "{review}", "text"
    form.fields.into.value = form.fields.max_tokens.value = ""
    until(lambda: not form.submit.widget.disabled)
    assert "<mark>good</mark>" in form.shown.value


def test_while_the_preview_is_made_nothing_can_be_sent_and_a_question_is_taken_back(compose):
    form = view(compose())
    form.submit.widget.click()
    assert form.submit.widget.description == "Really submit?"
    with form._lock:  # nothing is drawn meanwhile
        form.fields.template.value = "{review}!"
        assert form.submit.widget.disabled
        assert form.submit.widget.description == "Submit 12 rows"
        assert "being made" in form.status.value
    until(lambda: not form.submit.widget.disabled)


def preview_of(draft: Draft, to_send: int | None) -> Preview:
    row = PreviewRow(0, "0", ((draft.template or "", False),))
    return Preview((row,), 1, to_send, 0, 0, "m", None, 1, 0.1, provenance=Provenance.API)


class Slow:
    """A backend whose counting waits until it is let go."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.counted: list[str | None] = []
        self.let_go: dict[str, threading.Event] = {}

    def code(self, draft: Draft) -> str:
        return draft.call("df")

    def glance(self, draft: Draft, positions: Any) -> Preview:
        self.seen.append(draft.template)
        return preview_of(draft, None)

    def preview(self, draft: Draft, positions: Any) -> Preview:
        self.counted.append(draft.template)
        event = self.let_go.get(draft.template or "")
        assert event is None or event.wait(SECONDS)
        return preview_of(draft, 1)


def slow_view() -> tuple[Slow, ComposeView]:
    backend = Slow()
    setting = Setting("df", True, 1, ["a"], [], "m", (("a_reply", 1024), ("a_label", 256)), provenance=Provenance.API)
    form = ComposeView(backend, setting, Draft("a"), "none yet", lambda job: None)
    drawn(form)
    return backend, form


def test_typing_fast_draws_only_the_newest(monkeypatch):
    backend, form = slow_view()
    monkeypatch.setattr(latest, "PAUSE", 600.0)  # the next letter comes sooner, however slow the machine
    seen: list[str] = []
    form.shown.observe(lambda change: seen.append(change["new"]), "value")
    for end in range(1, 28):
        form.fields.template.value = "typed fast, letter by letter"[:end]
    monkeypatch.setattr(latest, "PAUSE", 0.0)
    form.fields.template.value = "typed fast, letter by letter"
    drawn(form)
    assert backend.seen == backend.counted == [None, "typed fast, letter by letter"]
    assert len(seen) == 2
    assert all("typed fast, letter by letter" in html for html in seen)
    form.stop()


def test_slow_counting_is_not_drawn_over_newer_rows_nor_keeps_them_waiting(monkeypatch):
    backend, form = slow_view()
    monkeypatch.setattr(latest, "PAUSE", 0.0)
    backend.let_go["old"] = threading.Event()
    form.fields.template.value = "old"
    until(lambda: "old" in backend.counted)
    for text in ("between", "new"):
        form.fields.template.value = text
        until(lambda text=text: f">{text}<" in form.shown.value)
    assert "is not counted yet" in form.shown.value
    assert form.submit.widget.disabled
    backend.let_go["old"].set()
    drawn(form)
    assert ">new<" in form.shown.value
    assert backend.counted == [None, "old", "new"]
    form.stop()
    form.fields.template.value = "after the end"
    assert "after the end" not in backend.seen


def test_what_would_be_sent_is_counted_anew_whenever_a_trial_has_come_further(monkeypatch):
    backend, form = slow_view()
    job = FakeJob(*(running(0, sent, rows=5, unsent=unsent) for sent, unsent in ((0, 5), (0, 5), (1, 0), (1, 0))),
                  running(1, 1, status="ended", unsent=0))  # fmt: skip
    monkeypatch.setattr(backend, "try_rows", lambda *_args: (job, []), raising=False)
    monkeypatch.setattr(backend, "answers", lambda *_args: [("r0", "a", "b")], raising=False)
    form.try_rows.click()
    until(lambda: form.trial.children and not form.try_rows.widget.disabled)
    drawn(form)
    counted = [len(backend.counted)]
    while len(job.snapshots) > 1:
        job.advance()
        drawn(form)
        counted.append(len(backend.counted))
    assert counted == [2, 2, 3, 3, 4]
    form.stop()


@settings(deadline=None)
@given(st.lists(st.integers(), min_size=1, max_size=20))
def test_of_all_that_is_asked_at_once_the_last_is_drawn_last(wishes):
    drawn: list[tuple[int, str]] = []
    worker: Newest[tuple[int, str]] = Newest(drawn.append, threading.RLock())
    for wish in wishes:
        worker.ask(lambda wish=wish: (wish, "quick"), lambda wish=wish: (wish, "slow"), 0.0)
    until(lambda: drawn[-2:] == [(wishes[-1], "quick"), (wishes[-1], "slow")])
    worker.stop()


def test_a_preview_that_fails_in_any_way_is_said(monkeypatch, compose):
    form = view(compose())
    monkeypatch.setattr(form._backend, "preview", lambda *_args: 1 / 0)
    form.fields.template.value = "{review}?"
    drawn(form)
    assert "ZeroDivisionError: division by zero" in form.shown.value
    assert form.submit.widget.disabled
