"""A real kernel, spoken to as a notebook does, but without one: cells are run, widgets clicked, interrupts sent."""

from __future__ import annotations

import contextlib
import os
import queue
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

#: Seconds within which a kernel does anything at all: generous, since it is only ever used up by a failure.
PATIENCE = 120.0

Message = dict[str, Any]
T = TypeVar("T")


@dataclass
class Cell:
    """What became of a cell: its reply, and what it showed."""

    reply: Message
    shown: list[Message]

    def of_type(self, kind: str) -> list[Message]:
        return [message["content"] for message in self.shown if message["msg_type"] == kind]

    @property
    def text(self) -> str:
        """Whatever a reader sees of the cell as text, tracebacks included."""
        parts = ["\n".join(message["traceback"]) for message in self.of_type("error")]
        parts.append("".join(message["text"] for message in self.of_type("stream")))
        parts += [message["data"].get("text/plain", "") for message in self.of_type("execute_result")]
        return "\n".join(parts)


class Kernel:
    """A kernel process of its own, with an environment of its own.

    Parameters
    ----------
    folder : Path
        Where its ledger, its connection file and its history live.
    **environment : str
        More variables of its environment.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        from jupyter_client import KernelManager

        here = Path(__file__).parent
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHNB_"))}
        env["PYTHONPATH"] = os.pathsep.join(map(str, [here.parents[1], here]))
        env["BATCHNB_HOME"] = str(folder / "home")
        env["IPYTHONDIR"] = str(folder / "ipython")
        env |= environment
        self.messages: list[Message] = []
        self.widgets: dict[str, dict[str, Any]] = {}
        self._manager = KernelManager(connection_file=str(folder / "kernel.json"))
        self._manager.start_kernel(env=env, cwd=str(folder))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)

    def send(self, code: str) -> str:
        """Have a cell run, and give its id. Returns at once."""
        return self._client.execute(code)

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        return self.end_of(self.send(code))

    def value(self, expression: str) -> str:
        """Return the repr of an expression, as the kernel sees it now."""
        cell = self.run(f"print(repr({expression}))")
        assert cell.reply["status"] == "ok", cell
        return cell.text.strip()

    def end_of(self, cell: str) -> Cell:
        """Wait until a cell has ended."""
        self.until(lambda: any(_is_status(message, cell, "idle") for message in reversed(self.messages)))
        while True:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == cell:
                return Cell(reply["content"], self._shown_by(cell))

    def until(self, holds: Callable[[], T]) -> T:
        """Listen to what the kernel tells all its clients until that holds, and give what it gives."""
        deadline = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert time.monotonic() < deadline, "the kernel has said much, but not what was waited for"
            self._hear(self._client.get_iopub_msg(timeout=PATIENCE))
        return found

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        if message["msg_type"] in ("comm_open", "comm_msg"):
            content = message["content"]
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"].get("state", {}))

    def _shown_by(self, cell: str) -> list[Message]:
        return [message for message in self.messages if message["parent_header"].get("msg_id") == cell]

    def forget(self) -> None:
        """Forget what was heard so far."""
        self.messages.clear()
        self.widgets.clear()

    @property
    def statuses(self) -> list[str]:
        """What a page has shown of the kernel, as far as its messages were heard: busy or idle, the newest last."""
        return [m["content"]["execution_state"] for m in self.messages if m["msg_type"] == "status"]

    def widget(self, **traits: object) -> str:
        """Return the id of the widget that has those traits, as soon as there is one."""
        return self.until(lambda: next((widget for widget, state in self.widgets.items() if _has(state, traits)), ""))

    def until_widget(self, widget: str, **traits: object) -> None:
        """Wait until a widget has got those traits."""
        self.until(lambda: _has(self.widgets[widget], traits))

    def click(self, button: str) -> None:
        """Click a button, as its view in a page does."""
        content = {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    def interrupt(self) -> None:
        """Interrupt the kernel, as the square button of a notebook does."""
        self._manager.interrupt_kernel()

    def shut_down(self) -> None:
        """Shut the kernel down as a page does, and hear what it says until it is gone."""
        self._client.shutdown()
        while self.alive:
            with contextlib.suppress(queue.Empty):
                self._hear(self._client.get_iopub_msg(timeout=0.1))
        with contextlib.suppress(queue.Empty):
            while True:
                self._hear(self._client.get_iopub_msg(timeout=0.5))

    @property
    def alive(self) -> bool:
        return self._manager.is_alive()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def running(folder: Path, **environment: str) -> Iterator[Kernel]:
    """Start a kernel, and end it after the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jupyter_client's own dependencies
        kernel = Kernel(folder, **environment)
        try:
            yield kernel
        finally:
            kernel.close()


def _has(state: dict[str, Any], traits: dict[str, object]) -> bool:
    return all(name in state and state[name] == value for name, value in traits.items())


def _is_status(message: Message, cell: str, state: str) -> bool:
    return (
        message["msg_type"] == "status"
        and message["parent_header"].get("msg_id") == cell
        and message["content"]["execution_state"] == state
    )
