"""The form of ``df.batch.compose``, without a browser: what is set and clicked, on the simulator with real jobs."""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_job
import nbformat
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient
from test_job_view import traits

from batchnb import InputError, RecipeChangedWarning, Workspace
from batchnb.display import Preview, PreviewRow, newest, progress
from batchnb.display.compose_view import ComposeView, Setting
from batchnb.display.draft import Draft
from batchnb.display.newest import Newest

SECONDS = 60  # a test that waits longer has failed
WIDGET = "application/vnd.jupyter.widget-view+json"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Handle:
    """What `display(..., display_id=True)` returns."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        self.bundles.append(bundle)


@pytest.fixture
def handles(monkeypatch) -> list[Handle]:
    """Pretend that a kernel runs this test, and keep what is displayed where."""
    made: list[Handle] = []

    def display(bundle: dict[str, Any], *, raw: bool, display_id: bool) -> Handle:
        made.append(Handle())
        made[-1].update(bundle, raw=raw)
        return made[-1]

    monkeypatch.setattr(progress, "has_front_end", lambda: True)
    monkeypatch.setattr("batchnb.composer.has_front_end", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(newest, "PAUSE", 0.01)
    return made


@pytest.fixture
def frame() -> pd.DataFrame:
    texts = ["good", "bad", "so so", "awful", "great", None, "good", "fine", "broken", "lovely", "poor", "nice"]
    return pd.DataFrame({"review": texts, "stars": range(12)}, index=[f"r{number}" for number in range(12)])


@pytest.fixture
def compose(frame: pd.DataFrame, workspace: Workspace, handles: list[Handle]) -> Callable[..., Any]:
    """Open a form and wait for its preview."""

    def opened(*args: Any, **options: Any) -> Any:
        form = frame.batch.compose("review", *args, workspace=workspace, **options)
        settled(form)
        return form

    return opened


def view(form: Any) -> ComposeView:
    return form._form.view


def settled(form: Any) -> None:
    drawn(view(form))


def drawn(form: ComposeView) -> None:
    """Wait until the preview of what is filled in is drawn, all of it."""

    def ready() -> bool:
        with form._lock:
            return not form._waiting

    until(ready)


def click(form: Any, name: str) -> None:
    """Click, and confirm where that is asked; wait until it is done."""
    action = getattr(view(form), name)
    until(lambda: not action.widget.disabled)
    action.widget.click()
    if action._asks:
        action.widget.click()
    until(lambda: not action._running)


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
    assert re.search(r"about [\d,]+ input tokens · would cost at most", form.shown.value)


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
    assert workspace.jobs().empty
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
    return Preview((row,), 1, to_send, 0, 0, "m", None, 1, 0.1, simulated=False)


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
    setting = Setting("df", True, 1, ["a"], [], "m", (("a_reply", 1024), ("a_label", 256)), simulated=False)
    form = ComposeView(backend, setting, Draft("a"), "none yet", lambda job: None)
    drawn(form)
    return backend, form


def test_typing_fast_draws_only_the_newest(monkeypatch):
    backend, form = slow_view()
    monkeypatch.setattr(newest, "PAUSE", 600.0)  # the next letter comes sooner, however slow the machine
    seen: list[str] = []
    form.shown.observe(lambda change: seen.append(change["new"]), "value")
    for end in range(1, 28):
        form.fields.template.value = "typed fast, letter by letter"[:end]
    monkeypatch.setattr(newest, "PAUSE", 0.0)
    form.fields.template.value = "typed fast, letter by letter"
    drawn(form)
    assert backend.seen == backend.counted == [None, "typed fast, letter by letter"]
    assert len(seen) == 2
    assert all("typed fast, letter by letter" in html for html in seen)
    form.stop()


def test_slow_counting_is_not_drawn_over_newer_rows_nor_keeps_them_waiting(monkeypatch):
    backend, form = slow_view()
    monkeypatch.setattr(newest, "PAUSE", 0.0)
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


# Trying and submitting


def requests_sent(workspace: Workspace) -> int:
    return int(workspace.batches()["requests"].sum())


def test_rows_that_were_tried_are_not_bought_twice(compose, workspace):
    form = compose("Say {review}")
    click(form, "try_rows")
    shown = view(form)
    job_box, _, answers = shown.trial.children
    until(lambda: answers.value)
    assert "batchnb-job" in job_box._dom_classes
    assert "tried on 5 rows" in job_box.children[1].value
    assert requests_sent(workspace) == 5
    assert "<bdi>r4</bdi>" in answers.value
    assert "review_reply (simulated)" in answers.value
    assert "great" in answers.value
    until(lambda: "12 rows: 5 to send · 6 reused, not bought again" in shown.shown.value)
    assert form.job is None
    click(form, "submit")
    result = form.job.result(SECONDS)
    assert result["review_reply_status"].value_counts().to_dict() == {"succeeded": 11, "skipped": 1}
    assert list(result.index) == [f"r{number}" for number in range(12)]
    assert requests_sent(workspace) == 10
    again = result[["review", "stars"]].batch.submit("review", "Say {review}", workspace=workspace, progress=False)
    assert again.id == form.job.id
    assert requests_sent(workspace) == 10


def test_trying_other_rows_takes_the_place_of_the_first_trial(compose, workspace):
    form = compose()
    click(form, "try_rows")
    first = view(form).trial.children
    until(lambda: first[2].value)
    view(form).first.value = 7
    settled(form)
    click(form, "try_rows")
    second = view(form).trial.children
    assert second[0] is not first[0]
    until(lambda: second[2].value)
    assert "<bdi>r11</bdi>" in second[2].value
    assert requests_sent(workspace) == 10


def test_a_row_without_an_answer_says_why(compose):
    form = compose()
    view(form).first.value = 5
    settled(form)
    click(form, "try_rows")
    answers = view(form).trial.children[2]
    until(lambda: answers.value)
    assert "skipped: missing value in &#x27;review&#x27;" in answers.value


def test_submitting_gives_the_forms_place_to_the_job_with_its_code_above(compose, handles, workspace):
    form = compose("Say {review}", into="said")
    click(form, "submit")
    shown = view(form).widget
    assert form.job.name == "review → said"
    assert "Say {review}" in shown.children[1].value
    assert "batchnb-job" in shown.children[-1]._dom_classes
    form.job.wait(SECONDS)
    until(lambda: WIDGET not in handles[0].bundles[-1])
    final = handles[0].bundles[-1]
    assert final["text/plain"].startswith(f"{form.code}\n\n[SIMULATED] review → said · Ended")
    assert "10 succeeded" in final["text/html"]
    assert "into=&quot;said&quot;" in final["text/html"]
    assert list(workspace.views) == [form.job.id]
    view(form).fields.template.value = "edited after"
    assert form.draft.template == "Say {review}"
    form._form.publish()
    assert "10 succeeded" in handles[1].bundles[-1]["text/html"]
    assert form.code in handles[1].bundles[-1]["text/plain"]
    assert repr(form).startswith(f"{form.code}\n# <batchnb.Job {form.job.id}")


def test_the_code_submits_the_very_same_job(compose, frame, workspace):
    form = compose("Say {review}\nnow", labels=["a", "b"], system="Be\nbrief", into="x", max_tokens=50)
    click(form, "submit")
    form.job.wait(SECONDS)
    names = {"df": frame, "workspace": workspace}
    exec(form.code, names)
    assert names["job"].id == form.job.id


def test_a_refusal_is_shown_and_nothing_is_lost(compose, monkeypatch, workspace):
    form = compose("Say {review}")
    with monkeypatch.context() as refused:
        refused.setattr(workspace, "submit", lambda *_args, **_options: (_ for _ in ()).throw(InputError("<b>no</b>")))
        for name in ("submit", "try_rows"):
            click(form, name)
            assert "failed: InputError: &lt;b&gt;no&lt;/b&gt;" in view(form).notes.value
    assert form.draft.template == "Say {review}"
    assert form.job is None
    click(form, "submit")
    assert form.job.wait(SECONDS)


def test_a_changed_recipe_is_said_in_the_form_or_stops_it_where_warnings_are_errors(compose, workspace):
    form = compose("Say {review}")
    click(form, "try_rows")
    until(lambda: view(form).trial.children[2].value)
    view(form).fields.template.value = "Shout {review}"
    settled(form)
    click(form, "submit")  # pytest makes warnings errors
    assert "Submit 12 rows failed: RecipeChangedWarning: 6 of 12 rows were asked before" in view(form).notes.value
    assert requests_sent(workspace) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("default", RecipeChangedWarning)
        click(form, "submit")
    assert "6 of 12 rows were asked before" in view(form).widget.children[2].value
    assert form.job.wait(SECONDS)


def test_a_form_without_a_key_says_so_when_it_would_send(frame, handles, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with_no_key = Workspace(home=tmp_path / "home")
    form = frame.batch.compose("review", workspace=with_no_key)
    settled(form)
    assert "cost unknown" in view(form).shown.value
    click(form, "submit")
    assert "Submit 12 rows failed: CredentialsError" in view(form).notes.value
    with_no_key.close()


# Around it


def test_closing_the_workspace_leaves_code_and_preview(compose, handles, workspace):
    form = compose()
    view(form).fields.template.value = "Say {review}"
    settled(form)
    workspace.close()
    last = handles[0].bundles[-1]
    assert set(last) == {"text/html", "text/plain"}
    assert "Nothing was submitted from this form." in last["text/plain"]
    assert "Say ⟦good⟧" in last["text/plain"]
    assert "Say {review}" in last["text/html"]
    assert "<mark>good</mark>" in last["text/html"]
    assert workspace.views == {}


def test_hostile_text_is_inert(handles, workspace):
    name = fake_job.HOSTILE
    frame = pd.DataFrame({name: [fake_job.HOSTILE, "b"], f"{name} 2": ["</pre><b>x", "y"]}, index=[name, "</td>"])
    form = frame.batch.compose(name, f"{name} {{{name}}}", system=name, into=name + "!", workspace=workspace)
    settled(form)
    click(form, "try_rows")
    answers = view(form).trial.children[2]
    until(lambda: answers.value)
    shown = view(form)
    pieces = [shown.head.value, shown.shown.value, shown.code.value, answers.value, *handles[0].bundles[0].values()]
    shown.fields.template.value = f"{{{name}"
    settled(form)
    workspace.close()
    pieces += [shown.shown.value, shown.status.value, handles[0].bundles[-1]["text/html"]]
    for piece in map(str, pieces):
        if piece.startswith("<"):
            assert not re.search(r"<(img|script|/?b>x)|\x1b|\u202e", piece)
            assert piece.count("<pre") == piece.count("</pre>")
    assert "&lt;img src=x" in answers.value
    buttons = [one for one in shown.fields.widget.children[1].children if hasattr(one, "click")]
    assert all("\x1b" not in button.description for button in buttons)
    assert not any(one.description_allow_html for one in (shown.fields.template, shown.first))


def test_a_frame_of_many_columns_has_buttons_for_the_first_ones(handles, workspace):
    frame = pd.DataFrame({f"c{number}": ["a"] for number in range(200)})
    form = frame.batch.compose("c150", workspace=workspace)
    settled(form)
    children = view(form).fields.widget.children[1].children
    assert len(children) == 42
    assert children[-1].value == "and 160 more columns: type the name in braces"


def test_a_label_that_is_no_literal_is_said_in_place_of_the_code_and_can_be_submitted(handles, workspace):
    when = pd.Timestamp("2026-01-01")
    form = pd.DataFrame({when: ["a", "b"]}).batch.compose(when, workspace=workspace)
    settled(form)
    assert "This cannot be written as code" in view(form).code.value
    assert "This cannot be written as code" in handles[0].bundles[0]["text/plain"]
    with pytest.raises(InputError, match="cannot be written as code"):
        form.code  # noqa: B018
    click(form, "submit")
    assert form.job.result(SECONDS).shape == (2, 4)


def test_what_a_form_cannot_hold_is_refused_at_once(frame, workspace):
    for column, options in (
        ("reviw", {}), ("review", {"labels": "ab"}), ("review", {"labels": ["a"]}),
        ("review", {"template": lambda row: "x"}), ("review", {"system": [{"type": "text", "text": "x"}]}),
    ):  # fmt: skip
        with pytest.raises(InputError):
            frame.batch.compose(column, workspace=workspace, **options)
    with pytest.raises(InputError, match="no rows"):
        frame[:0].batch.compose("review", workspace=workspace)


def test_without_a_front_end_it_says_what_to_do_and_gives_the_code(frame, tmp_path, capsys):
    form = frame.batch.compose("review", "Say {review}")
    assert repr(form).splitlines()[-1] == 'job = df.batch.submit("review", "Say {review}")'
    assert "preview" in repr(form)
    form._ipython_display_()
    assert capsys.readouterr().out == f"{form!r}\n"
    assert form.job is None
    with pytest.raises(InputError, match=r"form\.code"):
        form.insert()
    assert not (tmp_path / "default-home").exists()


def test_a_series_is_composed_under_its_own_name(workspace, handles):
    form = pd.Series(["a", "b"]).batch.compose("Say {text}", workspace=workspace)
    settled(form)
    assert form.code == 's.batch.submit("Say {text}", workspace=workspace)'.join(["job = ", ""])
    click(form, "submit")
    assert list(form.job.result(SECONDS).columns) == ["text", "text_reply", "text_reply_status", "text_reply_error"]


class Shell:
    execution_count = 1

    def __init__(self, **names: Any) -> None:
        self.user_ns = names
        self.cells: list[str] = []

    def set_next_input(self, text: str, *, replace: bool) -> None:
        assert not replace
        self.cells.append(text)


def test_the_code_names_the_users_own_variables_and_goes_into_the_next_cell(compose, frame, workspace, monkeypatch):
    shell = Shell(_=frame, **{"not a name": frame, "class": frame}, reviews=frame, df=frame.copy(), ws=workspace)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    form = compose()
    assert form.code == 'job = reviews.batch.submit("review", workspace=ws)'
    assert "<code>reviews</code>" in view(form).head.value
    form.insert()
    assert shell.cells == [form.code]


def test_a_cell_that_ends_with_the_form_shows_it_once(compose, handles, monkeypatch):
    monkeypatch.setattr("batchnb.composer.execution", lambda: 7)
    form = compose()
    form._ipython_display_()
    assert len(handles) == 1
    monkeypatch.setattr("batchnb.composer.execution", lambda: 8)
    form._ipython_display_()
    assert len(handles) == 2


CELLS = [
    """\
import batchnb, pandas as pd
batchnb.simulate(delay=(0.1, 0.2), seed=1)
reviews = pd.DataFrame({"review": ["good", "bad", "<script>window.pwned=1</script>"]})
form = reviews.batch.compose("review", "Is it good?\\n{review}")""",
    """\
import time
view = form._form.view
def until(ready):
    while not ready(): time.sleep(0.01)
view.fields.kind.value = "one of the labels"
view.fields.labels.value = "positive, negative"
until(lambda: not view.submit.widget.disabled)
view.try_rows.widget.click()
until(lambda: view.trial.children and view.trial.children[2].value)
until(lambda: not view.submit.widget.disabled)
view.submit.widget.click(); view.submit.widget.click()
until(lambda: form.job)
form.insert()
df = await form.job
df["review_label"].tolist()""",
    "until(lambda: form._form._places[0]._handle and form.job.views[form.job.id]._finished)",
]


def test_a_saved_notebook_holds_the_code_and_a_static_summary_and_no_widget(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[:2])))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    code = (
        'job = reviews.batch.submit(\n    "review",\n    (\n        "Is it good?\\n"\n        "{review}"\n    ),\n'
        '    labels=["positive", "negative"],\n)'
    )
    assert output.data["text/plain"].startswith(f"{code}\n\n[SIMULATED] review → review_label · Ended")
    assert "3 succeeded" in output.data["text/html"]
    assert "reviews.batch.submit(" in output.data["text/html"]
    assert "<script>" not in output.data["text/html"]
    assert "'positive'" in notebook.cells[1].outputs[-1].data["text/plain"]
