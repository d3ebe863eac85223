"""The form of ``df.batch.compose``, without a browser: what it sends, on the simulator with real jobs, and leaves."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import fake_job
import nbformat
import pandas as pd
import pytest
from forms import SECONDS, WIDGET, click, settled, until, view
from nbclient import NotebookClient

from batchnb import InputError, RecipeChangedWarning, Workspace
from batchnb.jobs import composer

pytest_plugins = ["composer_fixtures"]


# Trying and submitting


def requests_sent(workspace: Workspace) -> int:
    return int(workspace.batches().to_frame()["requests"].sum())


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
    assert list(workspace.session.views) == [form.job.id]
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
        refused.setattr(composer, "submit", lambda *_args, **_options: (_ for _ in ()).throw(InputError("<b>no</b>")))
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
    assert workspace.session.views == {}


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
        ("review", {"labels": {"a": "first", "b": "second"}}),
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
    monkeypatch.setattr(composer, "execution", lambda: 7)
    form = compose()
    form._ipython_display_()
    assert len(handles) == 1
    monkeypatch.setattr(composer, "execution", lambda: 8)
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
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(root / "tests" / "support")]))
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
