"""A job recorded, and begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchnb.jobs.job import Job
from batchnb.planning.record import Wishes, record_job
from batchnb.planning.session import Session
from batchnb.questions.columns import bare
from batchnb.questions.reading import read_rows
from batchnb.questions.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["submit"]


def submit(session: Session, frame: pd.DataFrame, recipe: Recipe, wishes: Wishes) -> Job:
    """Record a job and have it sent in the background.

    Only if something is about to be sent, the network is touched: the first such request is checked with the free
    count_tokens endpoint, and what its model can do is asked, once a model; each blocks for 10 s at most. Questions
    that were asked before, in this job or another, are not sent again. Before rows are asked again because the
    recipe has changed, a RecipeChangedWarning says so. To decide about a cache, and to keep to a limit, tokens are
    counted too.

    Parameters
    ----------
    session : Session
        Where it is sent and kept.
    frame : DataFrame
        The rows.
    recipe : Recipe
        What each of them asks.
    wishes : Wishes
        How it is to be sent.

    Raises
    ------
    InputError
        A row cannot be asked, the server refuses the request's shape or model, or the job may cost more than its
        limit. Nothing was sent.
    CredentialsError
        There is no key, or the server refuses it. Nothing was sent.
    """
    # First, since a function of the user's may fail: then nothing is opened.
    rows = list(read_rows(recipe, frame)) if recipe.calls else None
    job = record_job(
        session.api, session.ledger, session.prices, bare(frame), recipe, wishes, rows=rows,
        max_requests=session.max_requests, max_bytes=session.max_bytes,
    )  # fmt: skip
    session.go_on(job.number)
    return Job(job.id, session, frame)
