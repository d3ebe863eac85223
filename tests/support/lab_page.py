"""A notebook in the browser, and what a person does with it. The same for JupyterLab and Notebook 7."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TIMEOUT = 60_000  # milliseconds, for each step in the page; generous, since nothing should ever come near it
#: Milliseconds; longer than "Really cancel?" stands.
PATIENCE = 12_000

_OPEN = "() => !!window.jupyterapp?.shell.currentWidget?.context?.isReady"
# A page that comes to a kernel in the middle of a cell knows nothing of its status until that cell ends.
_CONNECTED = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    return !!(session?.isReady && session?.session?.kernel?.connectionStatus === 'connected');
}"""
# The toolbar says "idle" before the kernel is ready.
_IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    const kernel = session?.session?.kernel;
    return !!(session?.isReady && kernel?.connectionStatus === 'connected' && kernel?.status === 'idle');
}"""


class NotebookPage:
    """One notebook, open in a page.

    Parameters
    ----------
    raw : playwright page
        For everything that is not said here.
    address : str
        Of the notebook.
    """

    def __init__(self, raw: Any, address: str) -> None:
        self.raw = raw
        self.address = address
        raw.set_default_timeout(TIMEOUT)

    @property
    def views(self) -> Any:
        """The views of jobs in the page."""
        return self.raw.locator(".batchnb-job")

    def cell(self, number: int) -> Any:
        """A code cell, counted from 0."""
        return self.raw.locator(".jp-CodeCell").nth(number)

    def output(self, number: int) -> Any:
        """What a code cell has put out."""
        return self.cell(number).locator(".jp-Cell-outputWrapper")

    def load(self, *, kernel: bool = True) -> None:
        """Go to the notebook, and wait until its kernel takes code; or have it opened without one."""
        self.raw.goto(self.address)
        if not kernel:
            self.raw.get_by_role("dialog").get_by_role("button", name="No Kernel").click()
        self.raw.wait_for_function(_OPEN)
        # JupyterLab's file browser would take a third of the page.
        self.raw.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        if kernel:
            self.wait_idle()

    def reload(self) -> None:
        """Save, load the page anew, and wait until it is connected to the kernel, which may be busy."""
        self.save()
        self.raw.reload()
        self.raw.wait_for_function(_OPEN)
        self.raw.wait_for_function(_CONNECTED)

    def wait_idle(self) -> None:
        self.raw.wait_for_function(_IDLE)

    # Running cells

    def command(self, name: str) -> None:
        """Start one of the front end's commands without waiting for it."""
        self.raw.evaluate("name => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        """Start running all cells."""
        self.command("notebook:run-all-cells")

    def run(self, *numbers: int) -> None:
        """Start running these code cells, one after another."""
        self.raw.evaluate(
            """numbers => { for (const number of numbers) {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;
                window.jupyterapp.commands.execute('notebook:run-cell');
            } }""",
            numbers,
        )

    def save(self) -> None:
        self.raw.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save(); }")

    def restart_kernel(self) -> None:
        """Restart the kernel as a person does, whatever runs; returns when the new one takes code."""
        self.raw.evaluate("""() => {
            window.restarted = false;
            window.jupyterapp.shell.currentWidget.context.sessionContext.statusChanged.connect(
                (_, status) => { window.restarted ||= status.includes('restarting'); });
        }""")
        self.command("notebook:restart-kernel")
        self.raw.get_by_role("dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        self.raw.wait_for_function("() => window.restarted")
        self.wait_idle()

    # What cells printed. Their sources cut what they print in two, so that the source is not taken for it.

    def see(self, text: str) -> None:
        """Wait until a cell has printed this."""
        self.raw.get_by_text(text).first.wait_for()

    def shows(self, text: str) -> bool:
        return bool(self.raw.get_by_text(text).count())

    def read(self, pattern: str) -> tuple[str, ...]:
        """Wait until a cell has printed what fits the pattern, and give its groups."""
        found = re.search(pattern, self.raw.get_by_text(re.compile(pattern)).first.inner_text())
        assert found, pattern
        return found.groups()

    # Views of jobs

    def wait_for_batches(self, least: int) -> None:
        """Wait until the view says that at least so many batches have ended."""
        self.raw.wait_for_function(
            """least => {
                const said = document.querySelector('.batchnb-job')?.innerText.match(/(\\d+) of \\d+ batches ended/);
                return said && Number(said[1]) >= least;
            }""",
            arg=least,
        )

    def wait_for_movement(self) -> None:
        """Wait until the view says something else than now; the time goes on even where no batch ends."""
        self.raw.wait_for_function(
            "before => document.querySelector('.batchnb-facts').innerText !== before",
            arg=self.raw.locator(".batchnb-facts").first.inner_text(),
        )

    def ask_to_cancel(self, view: Any) -> None:
        """Click Cancel, so that it asks back; again where the page was too slow, and the question had gone already."""
        question = view.get_by_role("button", name="Really cancel?")
        _insist(
            lambda: view.get_by_role("button", name="Cancel", exact=True).click(timeout=PATIENCE),
            lambda: question.wait_for(timeout=PATIENCE),
        )

    def cancel(self, view: Any = None) -> None:
        """Click Cancel, and again to confirm; all over where the question had gone before it could be answered."""
        view = self.views if view is None else view
        question = view.get_by_role("button", name="Really cancel?")
        _insist(
            lambda: view.get_by_role("button", name="Cancel", exact=True).click(timeout=PATIENCE),
            lambda: question.click(timeout=PATIENCE),
            lambda: question.wait_for(state="hidden", timeout=PATIENCE),
        )

    # Themes

    @contextmanager
    def theme(self, name: str) -> Iterator[None]:
        """Within the block, the page has this theme, such as ``JupyterLab Dark``; the server remembers it as well."""
        before = self.raw.evaluate("document.body.dataset.jpThemeName")
        self._change_theme(name)
        try:
            yield
        finally:
            self._change_theme(before)

    def _change_theme(self, name: str) -> None:
        self.raw.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        self.raw.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)


def _insist(*steps: Callable[[], Any]) -> None:
    """Take the steps in turn, and from the first again where one of them times out."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

    for attempt in range(5):
        try:
            for step in steps:
                step()
        except PlaywrightTimeoutError:
            if attempt == 4:
                raise
        else:
            return
