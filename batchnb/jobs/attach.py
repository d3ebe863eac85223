"""A job picked up again: by its id, or by that of a batch that somebody else made."""

from __future__ import annotations

from batchnb.jobs.job import Job
from batchnb.planning.session import Session
from batchnb.protocol.recovery import attach_batch, is_batch_id
from batchnb.questions.scalars import check_texts

__all__ = ["attach"]


def attach(session: Session, id: str) -> Job:
    """Return a job of a ledger, which goes on in the background if it is open; see ``Workspace.attach``."""
    check_texts(note="", id=id)
    job_id = id
    if is_batch_id(id):
        job_id = attach_batch(session.api, session.ledger, id, session.clock.now(), session.timing)
    job = Job(job_id, session)
    session.go_on(session.ledger.jobs.get(job.id).number)
    return job
