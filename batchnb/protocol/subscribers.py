"""Whoever wants to be told when a job moves: views, as a rule."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Callback", "Subscribers"]

Callback = Callable[[], None]


class Subscribers:
    """Callbacks by the job that they are about; None: about all."""

    def __init__(self) -> None:
        self._callbacks: dict[int | None, list[Callback]] = {}

    def add(self, job: int | None, callback: Callback) -> Callback:
        """Have `callback` called by `tell`. Returns the function that ends that."""
        callbacks = self._callbacks.setdefault(job, [])
        callbacks.append(callback)

        def unsubscribe() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return unsubscribe

    def tell(self, job: int | None) -> None:
        """Call the callbacks of a job, or those that are about all."""
        for callback in list(self._callbacks.get(job, ())):
            try:
                callback()
            except BaseException:  # noqa: BLE001, S112  # a view that cannot be drawn, or would leave, costs no job
                continue
