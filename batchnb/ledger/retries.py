"""Which failed answers may be asked again, by who asks: by itself, by running a cell, or by a person's word."""

from __future__ import annotations

from batchnb.answers.judge import RETRYABLE_ERRORS
from batchnb.ledger.fragments import wants

__all__ = ["RELEASES"]

_RETRYABLE = ", ".join(f"'{error}'" for error in sorted(RETRYABLE_ERRORS))

_NEVER_TAKEN = "a.outcome = 'errored' AND a.batch IS NULL AND a.error <> 'invalid_request_error'"

#: Which failed answers may be asked again, by who asks.
RELEASES = {
    # By itself: what passes, as long as the job has retries left.
    "auto": f"(a.outcome = 'expired' OR a.outcome = 'errored' AND a.error IN ({_RETRYABLE})) AND r.attempts < :retries"
    f" AND {wants('r.id')}",
    # By running the cell of a canceled job again, which stays so until retry(): what no batch ever held (a bad key, no
    # credit) and was not the request's own fault.
    "canceled": _NEVER_TAKEN,
    # By running any other: also what another job was canceled with before any batch held it.
    "run": f"{_NEVER_TAKEN} OR a.outcome = 'canceled' AND a.batch IS NULL",
    # By retry(): everything unpaid that may turn out otherwise.
    "retry": "a.outcome IN ('errored', 'expired', 'canceled', 'missing') AND a.error <> 'invalid_request_error'",
    # By retry(all=True).
    "all": "a.outcome IN ('errored', 'expired', 'canceled', 'missing')",
}
