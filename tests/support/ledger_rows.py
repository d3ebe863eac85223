"""Jobs, batches and answers in a ledger, without a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchnb.answers.judge import Answer
from batchnb.ledger.jobs import NewJob
from batchnb.ledger.ledger import Ledger
from batchnb.questions.bodies import label_of
from batchnb.questions.envelope import Envelope, content_of
from batchnb.questions.recipe import Recipe
from batchnb.questions.replies.base import TextReply
from batchnb.questions.rows import Row, in_parts

SCOPE = "https://api.anthropic.com"

ENVELOPE = Envelope.around({"model": "claude-haiku-4-5", "max_tokens": 64}, "content")

RECIPE = Recipe(column="text", template=None, shared={"model": "m"}, betas=(), reply=TextReply(), into="reply").spec()

BYTES = 1_000_000


def rows(*texts: str | None) -> list[Row]:
    made = []
    for position, text in enumerate(texts):
        if text is None:
            made.append(Row(None, None, 0, "", None, "missing"))
        else:
            content = content_of(text)
            made.append(Row(ENVELOPE.digest(content), content, 0, label_of(position), None, None))
    return made


def digest_of(text: str) -> bytes:
    return ENVELOPE.digest(content_of(text))


def create(ledger: Ledger, *texts: str | None, id: str = "job_1", **fields: Any) -> int:
    job = NewJob(
        id=id, name="a job", recipe=RECIPE, envelopes=((ENVELOPE, (), TextReply().spec()),),
        batch_size=100, max_bytes=BYTES, retries=1,
    )  # fmt: skip
    return ledger.jobs.create(replace(job, **fields), in_parts(rows(*texts), 3), now=1.0).number


def claim(ledger: Ledger, job: int, *, max_requests: int = 100, max_bytes: int = BYTES):
    return ledger.batches.claim(
        job, owner=ledger.owner.name, now=1.0, max_requests=max_requests, max_bytes=max_bytes
    )  # fmt: skip


def answer(text: str, outcome: str = "succeeded", error: str | None = None, result: bytes = b'{"type":"x"}') -> Answer:
    return Answer(digest_of(text), outcome, error, "m", None, 3, 2, 0, 0, 0, result)


def send(ledger: Ledger, job: int, server_id: str = "msgbatch_1") -> int:
    """Claim all that is unsent, and have the server accept it."""
    batch = claim(ledger, job)
    assert batch is not None
    ledger.batches.accepted(batch.id, server_id, times={})
    return batch.id


def lost(ledger: Ledger, job: int) -> int:
    """A batch of a job, which the server took and then no longer knew."""
    batch = send(ledger, job, f"msgbatch_{job}")
    ledger.batches.lose(batch, "gone")
    return batch
