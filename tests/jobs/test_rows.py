"""Rows land on their own row, whatever the index, the order of the results, and what becomes of the frame since."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchnb import InputError, Workspace
from batchnb.api.addresses import simulator_client
from batchnb.sim import Simulator

# Many recipes ask about the same few texts.
pytestmark = pytest.mark.filterwarnings("ignore::batchnb.RecipeChangedWarning")

TEMPLATE = "Echo: {review}"
INTO = ["echo", "echo_status", "echo_error"]
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.lists(
    st.sampled_from(["good", "bad", "so so", "아주 좋아요", "很好", "👍🏽 {review}", '"a", \\ <b>', "", "  ", None]),
    min_size=1,
    max_size=9,
)
dtypes = st.sampled_from(["object", "str", "string", "category"])
orders = st.randoms(use_true_random=False)


def said(params: dict[str, Any]) -> str:
    """Return a request's own text back, so that a reply on another row shows."""
    return json.dumps(params["messages"], ensure_ascii=False, sort_keys=True)


def reply_to(prompt: str) -> str:
    return said({"messages": [{"role": "user", "content": prompt}]})


@pytest.fixture(scope="module")
def echo() -> Iterator[Workspace]:
    """A workspace whose answers repeat the question; results come shuffled, in batches that end at once."""
    with Simulator(delay=(0.0, 0.0), responder=said) as simulator:
        client = simulator_client(simulator.url)
        workspace = Workspace(client, home=simulator.state / "home", max_poll=0.02)
        yield workspace
        workspace.close()
        client.close()


def submit(frame: pd.DataFrame, workspace: Workspace, template: Any = TEMPLATE, **options: Any):
    options = {"into": "echo", "progress": False, "batch_size": 3, "workspace": workspace, **options}
    return frame.batch.submit("review", template, **options)


def check(result: pd.DataFrame, prompts: list[str | None]) -> None:
    """Check that every row has the reply to its own prompt; None: it has none, and says so."""
    assert len(result) == len(prompts)
    for reply, status, prompt in zip(result["echo"], result["echo_status"], prompts, strict=True):
        if prompt is None:
            assert pd.isna(reply)
            assert status == "skipped"
        else:
            assert (reply, status) == (reply_to(prompt), "succeeded")


def prompts_of(frame: pd.DataFrame, template: str = TEMPLATE) -> list[str | None]:
    cells = frame["review"].astype(object)
    return [None if pd.isna(cell) or not cell.strip() else template.replace("{review}", cell) for cell in cells]


@pytest.fixture(scope="module")
def never_asked() -> Iterator[str]:
    """Templates of which each asks something new, so that every example is sent."""
    return (f"Echo {number}: {{review}}" for number in itertools.count())


def frame_of(reviews: list[str | None], dtype: str, order: Any) -> pd.DataFrame:
    """A frame with a duplicated index in disorder and another column."""
    frame = pd.DataFrame({"review": pd.Series(reviews, dtype=dtype), "n": range(len(reviews))})
    frame.index = pd.Index([order.choice([7, 3, 3, -1]) for _ in reviews], name="id")
    return frame


@few
@given(texts, dtypes, orders)
def test_every_row_gets_its_own_reply_under_a_duplicated_index(echo, never_asked, reviews, dtype, order):
    template = next(never_asked)
    frame = frame_of(reviews, dtype, order)
    result = submit(frame, echo, template).result(timeout=60)
    check(result, prompts_of(frame, template))
    pd.testing.assert_frame_equal(result[frame.columns], frame)


@few
@given(texts, orders)
def test_a_multiindex_is_kept_and_does_not_matter(echo, never_asked, reviews, order):
    template = next(never_asked)
    frame = frame_of(reviews, "object", order)
    frame.index = pd.MultiIndex.from_arrays([frame.index, ["same"] * len(frame)])
    result = submit(frame, echo, template).result(timeout=60)
    check(result, prompts_of(frame, template))
    assert result.index.equals(frame.index)


@few
@given(texts, dtypes, orders)
def test_changing_the_frame_after_submitting_changes_no_reply(echo, never_asked, reviews, dtype, order):
    template = next(never_asked)
    frame = frame_of(reviews, dtype, order)
    prompts, index = prompts_of(frame, template), frame.index.copy()
    job = submit(frame, echo, template)
    frame.index = frame.index[::-1]
    frame["review"] = "changed"
    frame.pop("n")
    frame.loc["one more"] = "new"
    result = job.result(timeout=60)
    check(result, prompts)
    assert result.index.equals(index)


@few
@given(texts, dtypes, orders)
def test_join_finds_the_replies_of_a_sorted_filtered_reset_and_extended_frame(echo, never_asked, reviews, dtype, order):
    template = next(never_asked)
    frame = frame_of(reviews, dtype, order)
    job = submit(frame, echo, template)
    job.result(timeout=60)
    shuffled = frame.sample(frac=1, random_state=order.randrange(1000))
    for changed in (
        shuffled,
        shuffled[shuffled["n"] % 2 == 0],
        shuffled.reset_index(drop=True),
        frame.set_index("n"),
        pd.concat([shuffled, frame.iloc[:2]]),
        frame.astype({"review": "object"}),
        frame[["review"]],
    ):
        result = changed.batch.join(job)
        check(result, prompts_of(changed, template))
        pd.testing.assert_frame_equal(result[changed.columns], changed)
        pd.testing.assert_frame_equal(job.merge(changed), result)


def test_join_gives_na_to_rows_the_job_never_asked(echo):
    frame = pd.DataFrame({"review": ["one", "two", None]})
    job = submit(frame, echo)
    job.result(timeout=60)
    extended = pd.concat([pd.DataFrame({"review": ["new", "one"]}), frame], ignore_index=True)
    result = extended.batch.join(job)
    assert result["echo_status"].tolist()[1:] == ["succeeded", "succeeded", "succeeded", "skipped"]
    assert result.loc[0, INTO].isna().all()
    check(result.iloc[1:], prompts_of(extended.iloc[1:]))


def test_join_works_on_a_series(echo):
    series = pd.Series(["one", "two"], name="review")
    job = series.batch.submit("Echo: {review}", into="echo", progress=False, workspace=echo)
    check(job.result(timeout=60), ["Echo: one", "Echo: two"])
    check(series[::-1].batch.join(job), ["Echo: two", "Echo: one"])


def test_a_series_without_a_name_is_called_text(echo):
    job = pd.Series(["one"]).batch.submit("Echo: {text}", into="echo", progress=False, workspace=echo)
    result = job.result(timeout=60)
    assert list(result.columns) == ["text", *INTO]
    check(result, ["Echo: one"])


def test_join_needs_no_more_than_the_columns_the_template_reads(echo):
    frame = pd.DataFrame({"review": ["one", "two"], "stars": [1, 2], "id": ["a", "b"]})
    job = submit(frame, echo, "{stars}", key="id", missing="raise")
    job.result(timeout=60)
    result = pd.DataFrame({"stars": [2, 1, 2, None]}).batch.join(job)
    check(result, ["2", "1", "2", None])


def test_join_without_a_column_the_template_reads_is_an_error(echo):
    job = submit(pd.DataFrame({"review": ["one"]}), echo)
    with pytest.raises(InputError, match="no column 'review'"):
        pd.DataFrame({"text": ["one"]}).batch.join(job)


def test_join_under_a_function_takes_the_function(echo):
    def ask(row: pd.Series[Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"Echo: {row['review']}"}], "system": "Repeat."}

    frame = pd.DataFrame({"review": ["one", None, "two"]})
    job = submit(frame, echo, ask)
    check(job.result(timeout=60), ["Echo: one", None, "Echo: two"])
    with pytest.raises(InputError, match="pass it again as template="):
        frame.batch.join(job)
    check(frame[::-1].batch.join(job, template=ask), ["Echo: two", None, "Echo: one"])


def test_join_replaces_no_column_of_the_users_own(echo):
    frame = pd.DataFrame({"review": ["one"]})
    job = submit(frame, echo)
    job.result(timeout=60)
    own = frame.assign(echo="mine")
    with pytest.raises(InputError, match="'echo', which batchnb did not make"):
        own.batch.join(job)
    check(own.batch.join(job, overwrite=True), ["Echo: one"])
    check(frame.batch.join(job).batch.join(job), ["Echo: one"])


def test_a_template_reads_several_columns_of_its_own_row(echo):
    frame = pd.DataFrame(
        {"review": ["b", "a", "b"], "stars": [3.0, np.nan, 1.0], "on": pd.to_datetime(["2026-01-02"] * 3)}
    )
    result = submit(frame, echo, "{review}/{stars}/{on:%d.%m.}", missing="send").result(timeout=60)
    check(result, ["b/3/02.01.", "a//02.01.", "b/1/02.01."])


def test_a_function_gets_its_own_row_with_every_column(echo):
    frame = pd.DataFrame({"review": ["x", "y", "x"], "n": [1, 2, 3], "f": [0.5, 1.0, 2.0]}, index=[5, 5, 6])
    result = submit(frame, echo, lambda row: f"{row.name} {row['review']} {row['n']} {row['f']}").result(timeout=60)
    check(result, ["5 x 1 0.5", "5 y 2 1.0", "6 x 3 2.0"])


def test_columns_of_a_multiindex_can_be_asked_about(echo):
    frame = pd.DataFrame({("a", "x"): ["one", "two"], ("b", "y"): [1, 2]})
    job = frame.batch.submit(("a", "x"), into="echo", progress=False, workspace=echo)
    result = job.result(timeout=60)
    assert result["echo", ""].tolist() == [reply_to("one"), reply_to("two")]
    assert result["echo_status", ""].tolist() == ["succeeded", "succeeded"]
    assert result[frame.columns].equals(frame)
    again = result.batch.submit(("a", "x"), into="echo", progress=False, workspace=echo)
    pd.testing.assert_frame_equal(again.result(timeout=60), result)


def test_labels_land_on_their_own_rows_as_an_ordered_choice(open_workspace):
    labels = ["even", "odd", "neither"]

    def choose(params: dict[str, Any]) -> str:
        number = params["messages"][0]["content"].removeprefix("Is this even or odd? ")
        return json.dumps({"label": labels[int(number) % 2]})

    with Simulator(delay=(0.0, 0.0), responder=choose) as simulator:
        frame = pd.DataFrame({"review": list(range(40))}, index=[0] * 40).sample(frac=1, random_state=3)
        job = submit(frame, open_workspace(simulator), "Is this even or odd? {review}", labels=labels)
        result = job.result(timeout=60)
    assert result["echo"].tolist() == [labels[number % 2] for number in frame["review"]]
    assert result["echo"].cat.categories.tolist() == labels


# A job picked up later


def test_a_job_attached_later_gives_its_replies_by_position(echo):
    frame = frame_of(["one", None, "two", "one"], "object", np.random.default_rng(0))
    job = submit(frame, echo)
    check(job.result(timeout=60), prompts_of(frame))
    later = echo.attach(job.id).result(timeout=60)
    assert later.index.tolist() == [0, 1, 2, 3]
    assert later.index.name == "position"
    assert list(later.columns) == INTO
    check(later, prompts_of(frame))


def test_a_job_attached_later_gives_its_replies_by_key(echo):
    frame = pd.DataFrame({"review": ["one", "two"], "id": ["r/1", "r/2"]})
    job = submit(frame, echo, key="id")
    job.result(timeout=60)
    later = echo.attach(job.id).to_frame()
    assert later.index.tolist() == ["r/1", "r/2"]
    assert later.index.name == "id"
    check(later, ["Echo: one", "Echo: two"])


def test_a_job_attached_later_joins_any_frame(echo):
    frame = pd.DataFrame({"review": ["one", "two", None]})
    job = submit(frame, echo)
    job.result(timeout=60)
    check(frame[::-1].batch.join(echo.attach(job.id)), [None, "Echo: two", "Echo: one"])


def test_three_thousand_rows_come_back_each_on_its_own_row(echo):
    reviews = [f"review {number % 2_990}" for number in range(3_000)]
    frame = pd.DataFrame({"review": reviews}, index=[number % 7 for number in range(3_000)])
    job = submit(frame, echo, batch_size=None)
    frame["review"] = frame["review"].to_numpy()[::-1]
    result = job.result(timeout=120)
    check(result, [f"Echo: {review}" for review in reviews])
    assert job.batches["requests"].sum() == 2_990
