"""The mode in which the SDK's own API tests pass: every id exists, every cursor is known, nothing is validated.

Those tests cancel, read and delete batches that never existed, and list with both cursors at once, for they are
written against a server that answers from the API's description alone. Off by default.

Source: the ``tests`` folder in the source distribution of anthropic 2.12.0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchnb.sim.rules.validation import Accepted
from batchnb.sim.server.routes import Ask, Service
from batchnb.sim.wire import ApiError, rfc3339

_EPOCH = rfc3339(0)


class SdkTestService(Service):
    """Answers as `Service` does, and as if it existed where it would answer that something does not."""

    def retrieve(self, ask: Ask) -> dict[str, Any]:
        """Return the batch, or a made-up one."""
        return self._or_invented(super().retrieve, ask)

    def cancel(self, ask: Ask) -> dict[str, Any]:
        """Cancel the batch, or return a made-up one."""
        return self._or_invented(super().cancel, ask)

    def delete(self, ask: Ask) -> dict[str, Any]:
        """Say that the batch is deleted, whether or not it existed."""
        return self._or_invented(super().delete, ask, id=ask.id, type="message_batch_deleted")

    def page(self, ask: Ask) -> dict[str, Any]:
        """List without looking at cursors."""
        return super().page(_without_cursors(ask))

    def models(self, ask: Ask) -> dict[str, Any]:
        """List without looking at cursors."""
        return super().models(_without_cursors(ask))

    def model(self, ask: Ask) -> dict[str, Any]:
        """Return the model, or the first there is."""
        return (self._validator.catalogue.find(ask.id) or self._validator.catalogue.models[0]).info()

    def files(self, ask: Ask) -> dict[str, Any]:
        """List without looking at what to list."""
        return super().files(replace(ask, query={}))

    def file(self, ask: Ask) -> dict[str, Any]:
        """Return the file, or a made-up one."""
        return self._or_invented(super().file, ask, **_invented_file(ask.id))

    def delete_file(self, ask: Ask) -> dict[str, Any]:
        """Say that the file is deleted, whether or not it existed."""
        return self._or_invented(super().delete_file, ask, id=ask.id, type="file_deleted")

    def upload(self, ask: Ask) -> dict[str, Any]:
        """Accept the file, whatever time it is to be kept, or make one up."""
        return self._or_invented(super().upload, ask, **_invented_file("file"))

    def _checked(self, params: Any, ask: Ask, endpoint: str) -> Accepted:  # noqa: ARG002 - checks nothing
        return Accepted(params, str(params.get("model")))

    def _or_invented(self, handler: Any, ask: Ask, **answer: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = handler(ask)
        except ApiError:
            return answer or _invented(ask.id)
        return found


def _without_cursors(ask: Ask) -> Ask:
    return replace(ask, query={name: ask.query[name] for name in ask.query if name not in ("after_id", "before_id")})


def _invented_file(file_id: str) -> dict[str, Any]:
    return {
        "id": file_id,
        "type": "file",
        "filename": "unnamed",
        "mime_type": "application/octet-stream",
        "size_bytes": 0,
        "created_at": _EPOCH,
        "expires_at": None,
        "downloadable": False,
    }


def _invented(batch_id: str) -> dict[str, Any]:
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": counts,
        "ended_at": None,
        "created_at": _EPOCH,
        "expires_at": _EPOCH,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }
