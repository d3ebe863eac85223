"""What callers give and get: NumPy's numbers, half characters, and what is pickled, copied or shown elsewhere."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import ipywidgets
import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchnb
from batchnb import BatchnbError, InputError, RecipeChangedWarning, Workspace
from batchnb.display.form.widget import ComposeView
from batchnb.display.job.widget import JobView
from batchnb.questions.scalars import check_whole, whole

SECONDS = 60
HALF = "x\udcff"
MENDED = r"half a character, '\\udcff': text\.encode\(\"utf-8\", \"replace\"\)\.decode\(\) puts a question mark"


@pytest.fixture
def frame() -> pd.DataFrame:
    frame = pd.DataFrame({"text": ["one", "two"], "k": ["1", "2"]}, dtype=object)
    frame.columns = frame.columns.astype(object)
    return frame


@pytest.fixture
def submit(workspace: Workspace) -> Callable[..., Any]:
    def submit(frame: pd.DataFrame, column: Any = "text", template: Any = "Of {text}", **options: Any) -> Any:
        return frame.batch.submit(column, template, **{"progress": False, "workspace": workspace} | options)

    return submit


# Numbers


class Counted:
    """What counts, as others' integers do."""

    def __index__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "two", [np.int8(2), np.uint64(2), np.int64(2), np.array(2), Counted()], ids=lambda one: type(one).__name__
)
def test_whole_numbers_of_anybodys_are_taken(submit, workspace, frame, two: Any):
    job = submit(
        frame, batch_size=two, samples=two, retries=two, max_tokens=two, max_cost=np.float32(0.5),
        params={"metadata": {"user_id": "a"}, "stop_sequences": ["b"]}, into="first",
    )  # fmt: skip
    assert job.result(np.float32(SECONDS))["first_status"].tolist() == ["invalid"] * 2  # cut after two tokens
    assert len(job.batches) == 2
    record = job._record
    assert (record.batch_size, record.retries, record.recipe.samples) == (2, 2, 2)
    assert all(type(value) is int for value in (record.batch_size, record.retries, record.recipe.samples))
    assert submit(frame, batch_size=2, samples=2, retries=2, max_tokens=2, into="first",
                  params={"metadata": {"user_id": "a"}, "stop_sequences": ["b"]}).id == job.id  # fmt: skip
    repr(frame.batch.preview("text", n=two, workspace=workspace))
    repr(frame.batch.estimate("text", n=two, seed=two, workspace=workspace))
    repr(frame.batch.pilot("text", n=two, seed=two, workspace=workspace))
    assert len(batchnb.batches(two, workspace=workspace)) == 2


def test_numpys_numbers_are_taken_in_params_thinking_and_elsewhere(submit, workspace, frame, simulator, tmp_path: Path):
    params = {"thinking": {"type": "enabled", "budget_tokens": np.int64(1024)}, "max_tokens": np.int32(4096)}
    job = submit(frame, params=params)
    job.result(SECONDS)
    assert job.id == submit(frame, thinking=np.int64(1024), max_tokens=np.int16(4096)).id
    row = submit(frame, params=lambda row: {"max_tokens": np.int64(7)}, into="row")
    assert row.result(SECONDS)["row_status"].tolist() == ["succeeded"] * 2
    assert len(batchnb.prune(np.float32(1e6), workspace=workspace)) == 0
    assert len(batchnb.prune(np.timedelta64(900, "D").astype(timedelta), workspace=workspace)) == 0
    other = Workspace(workspace.session._client, tmp_path / "other", max_poll=np.float32(0.1),
                      max_batch_requests=np.int64(1), max_batch_bytes=np.int64(10**6))  # fmt: skip
    assert len(submit(frame, workspace=other).batches) >= 0
    other.close()
    batchnb.set_price("a-model", input=np.float32(0.5), output=np.int64(2))
    labels = submit(frame, labels=np.array([1, 2]), into="label").result(SECONDS)["label"]
    assert set(labels.cat.categories) == {1, 2}


@pytest.mark.parametrize("name", ["batch_size", "samples", "retries", "max_tokens"])
@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", pd.NA, np.array([1, 2])], ids=repr)
def test_what_is_no_whole_number_is_refused(submit, frame, name: str, value: Any):
    with pytest.raises(InputError, match="whole number"):
        submit(frame, **{name: value})


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_is_pythons_own(number: int):
    for one in (number, np.int64(number), np.array(number)):
        assert (whole(one), type(whole(one))) == (number, int)
    assert whole(np.float64(number)) is None
    with pytest.raises(InputError, match="n is a whole number of at least"):
        check_whole("n", np.int64(number), number + 1)


# Half characters


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("into", {"into": HALF}),
        ("name", {"name": HALF}),
        ("template", {"template": f"{HALF} {{text}}"}),
        ("template", {"template": [{"role": "user", "content": f"{HALF} {{text}}"}]}),
        ("system", {"system": HALF}),
        ("system", {"system": [{"type": "text", "text": HALF}]}),
        ("labels", {"labels": ["a", HALF]}),
        ("labels", {"labels": {"a": "b", "c": HALF}}),
        ("other", {"labels": ["a", "b"], "other": HALF}),
        ("schema", {"schema": {"type": "object", "properties": {HALF: {"type": "string"}}}}),
        ("model", {"model": HALF}),
        ("params", {"params": {"metadata": {"user_id": HALF}}}),
        ("params", {"params": {HALF: 1}}),
    ],
)
def test_half_a_character_is_told_by_its_argument_with_how_to_mend_it(submit, frame, simulator, argument, options):
    with pytest.raises(InputError, match=rf"^{argument}= holds {MENDED}.*Nothing was sent\.$"):
        submit(frame, **options)
    assert not simulator.calls


def test_half_a_character_in_a_cell_a_key_or_a_label_names_it(submit, frame):
    cells = frame.assign(text=pd.Series(["one", HALF], dtype=object))
    for options in ({}, {"template": None}, {"template": lambda row: row["text"]}, {"samples": 2}):
        with pytest.raises(InputError, match=rf"^Row 1: .*{MENDED}"):
            submit(cells, **options)
    keys = frame.assign(k=pd.Series(["1", HALF], dtype=object))
    with pytest.raises(InputError, match=rf"^key='k': Row 1: its key holds {MENDED}"):
        submit(keys, key="k")
    with pytest.raises(InputError, match=rf"^examples\[0\]: its answer holds {MENDED}"):
        submit(frame, examples=[("a", HALF)])
    renamed = frame.copy()
    renamed.columns = pd.Index(["text", HALF], dtype=object)
    with pytest.raises(InputError, match=rf"^key= holds {MENDED}"):
        submit(renamed, key=HALF)
    with pytest.raises(InputError, match=rf"^column= holds {MENDED}"):
        submit(renamed, HALF, None)
    assert submit(renamed).result(SECONDS)["text_reply_status"].tolist() == ["succeeded"] * 2


def test_half_a_character_in_an_id_or_a_table_says_so(submit, workspace, frame, tmp_path: Path):
    with pytest.raises(InputError, match=rf"^id= holds {MENDED}"):
        batchnb.attach(HALF, workspace=workspace)
    job = submit(frame, key="k")
    job.result(SECONDS)
    with pytest.raises(InputError, match=rf"^table= holds {MENDED}.*Nothing was written\.$"):
        job.to_sql(HALF, f"sqlite:///{tmp_path / 'a.db'}")


# Pickled and copied


WAYS: list[Callable[[Any], Any]] = [
    pickle.dumps, copy.copy, copy.deepcopy, lambda one: pickle.dumps({"in": [one]}, protocol=2),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_belongs_to_its_process_says_what_to_pass_on(submit, workspace, frame, way):
    job = submit(frame)
    job.result(SECONDS)
    pilot = frame.batch.pilot("text", workspace=workspace)
    handles = {
        rf"batchnb\.attach\('{job.id}'\)": job,
        r"batchnb\.Workspace\(home=": workspace,
        r"to_frame\(\)": pilot,
        "Pass its code": frame.batch.compose("text", workspace=workspace),
        r"the frame that to_frame\(\)": batchnb.jobs(workspace=workspace),
    }
    for said, one in handles.items():
        with pytest.raises(TypeError, match=f"neither pickled nor copied.*{said}") as caught:
            way(one)
        assert isinstance(caught.value, BatchnbError)
    assert batchnb.attach(job.id, workspace=workspace, progress=False).counts == job.counts


def test_previews_estimates_and_errors_are_pickled(workspace, frame):
    for one in (frame.batch.preview("text", workspace=workspace), frame.batch.estimate("text", workspace=workspace)):
        for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
            assert repr(again) == repr(one)
            assert again._repr_html_() == one._repr_html_()
    with pytest.raises(InputError) as caught:
        frame.batch.preview("tex", workspace=workspace)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# Shown


def test_html_is_plain_text_to_whoever_takes_it(submit, workspace):
    frame = pd.DataFrame({"text": ["<b>one</b>", "two"]})
    job = submit(frame)
    job.result(SECONDS)
    for one in (
        frame.batch.preview("text", workspace=workspace),
        frame.batch.estimate("text", workspace=workspace),
        frame.batch.pilot("text", workspace=workspace),
    ):
        shown = one._repr_html_()
        assert type(shown) is str
        assert type(repr(one)) is str
        assert msgspec.json.decode(msgspec.json.encode({"text/html": shown})) == {"text/html": shown}
        assert "<b>one" not in shown
    assert type(repr(job)) is type(str(job)) is str


def values(widget: Any) -> list[str]:
    inner = [text for child in getattr(widget, "children", ()) for text in values(child)]
    return [widget.value, *inner] if isinstance(widget, ipywidgets.HTML) else inner


def test_what_widgets_hold_is_plain_text(submit, workspace, frame):
    from batchnb.display.tables.widget import TableView

    job = submit(frame)
    job.result(SECONDS)
    table = batchnb.jobs(workspace=workspace)
    views = [JobView(job, job.snapshot()), TableView(table._source, table._source.read())]
    for view in views:
        texts = values(view.widget)
        assert any(texts)
        assert {type(text) for text in texts} == {str}
    assert ComposeView  # its own tests hold what it shows
    assert json.dumps([values(view.widget) for view in views])


# What an earlier version has asked


def test_rows_whose_narrow_floats_had_more_digits_are_said_before_they_are_asked_again(submit):
    narrow = pd.DataFrame({"price": np.array([19.99, 2.0, 3.1], dtype="float32")})
    stored = narrow.astype("float64")  # as their text was once: 19.989999771118164
    first = submit(stored, "price", "Costs {price}")
    first.result(SECONDS)
    with pytest.warns(RecipeChangedWarning, match=rf"2 of 3 rows were asked before, by {first.id}.*'price'.*19\.99"):
        job = submit(narrow, "price", "Costs {price}")
    job.result(SECONDS)
    assert submit(narrow, "price", "Costs {price}").id == job.id  # said once, and bought once
    assert submit(stored, "price", "Costs {price}").id == first.id
