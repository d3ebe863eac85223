"""JupyterLab and Notebook 7 in Chromium, for tests that need to see the page: the servers and the browser.

Use it as a plugin of a test module: ``pytest_plugins = ["lab"]`` brings the fixtures `lab`, `notebook` and `browser`.
What a person does in the page is in `lab_page`.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from lab_page import NotebookPage

CHROMIUM = "/usr/bin/chromium"
TESTS = Path(__file__).parent


class App(NamedTuple):
    """What differs between the two front ends."""

    module: str
    config: str
    address: str


APPS = {
    # `reset` leaves out what an earlier page of the same workspace had open.
    "lab": App("jupyterlab", "LabApp", "lab/tree/{path}?reset&token={token}"),
    "notebook": App("notebook", "JupyterNotebookApp", "notebooks/{path}?token={token}"),
}


@dataclass
class Jupyter:
    """A running server, of JupyterLab or of Notebook 7."""

    app: App
    url: str
    token: str
    root: Path
    #: In the environment of every kernel, so that a test can look for it where it must never be.
    key: str = "sk-ant-api03-not-a-real-key-of-the-notebook"

    def write(self, name: str, *cells: str) -> Path:
        """Put a notebook with these code cells into a folder of its own, which is where its kernel runs."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        # Without it, a dialog that asks for a kernel covers the page.
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.root / name / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    @contextmanager
    def open(
        self, browser: Any, path: Path, *, kernel: bool = True, width: int = 1000, height: int = 900
    ) -> Iterator[NotebookPage]:
        """Show a notebook in a page of its own, and end its kernel after; if the block fails, keep a picture.

        A notebook that names no kernel can be opened without one.
        """
        where = path.relative_to(self.root).as_posix()
        raw = browser.new_page(viewport={"width": width, "height": height})
        page = NotebookPage(raw, f"{self.url}/{self.app.address.format(path=where, token=self.token)}")
        try:
            page.load(kernel=kernel)
            yield page
        except BaseException as problem:
            picture = path.with_suffix(".png")
            # The page may be what died; then the failure itself says more.
            with suppress(Exception):
                raw.screenshot(path=picture)
                problem.add_note(f"The page at that moment: {picture}")
            raise
        finally:
            raw.close()
            self.end_kernels()

    def end_kernels(self) -> None:
        """End every kernel: what it simulates would compete with the next test's."""
        for kernel in json.loads(self.call("GET", "api/kernels")):
            self.call("DELETE", f"api/kernels/{kernel['id']}")

    def call(self, method: str, path: str) -> bytes:
        """Call the server's own API."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


def _settings(folder: Path) -> None:
    news = {"fetchNews": "false", "checkForUpdates": False}
    path = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(news))


@contextmanager
def serve(root: Path, app: App) -> Iterator[Jupyter]:
    """Run a server on a free port, with settings, kernels and files of its own under `root`."""
    folders = {name: root / ".jupyter" / name for name in ("config", "data", "runtime", "workspaces", "settings")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    files = root / "files"
    files.mkdir()
    _settings(folders["settings"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    config = folders["config"] / "jupyter_server_config.py"
    config.write_text(f"c.{app.config}.expose_app_in_browser = True\n")
    command = [
        sys.executable, "-m", app.module, "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={files}", f"--config={config}",
        f"--LabServerApp.workspaces_dir={folders['workspaces']}",
        f"--LabServerApp.user_settings_dir={folders['settings']}",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHNB_"))}
    environment |= {
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "IPYTHONDIR": str(root / ".ipython"),
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1])]),
        "ANTHROPIC_API_KEY": Jupyter.key,
        # A folder beside the notebook: each notebook has a ledger of its own.
        "BATCHNB_HOME": "home",
        "BATCHNB_MAX_POLL": "0.5",
    }
    with (root / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=files)
        try:
            jupyter = Jupyter(app, f"http://127.0.0.1:{port}", token, files)
            _await_server(jupyter, server, root / "server.log")
            yield jupyter
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await_server(jupyter: Jupyter, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            jupyter.call("GET", "api")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{jupyter.app.module} did not start:\n{log.read_text()}")


@contextmanager
def launch_chromium() -> Iterator[Any]:
    """Start the system's Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; a test that asks for it is skipped where there is none, except in CI.

    For one file: while it runs, playwright has an event loop in this thread, and no test can run one of its own.
    """
    if not Path(CHROMIUM).exists() and os.environ.get("CI") != "true":
        pytest.skip(f"no {CHROMIUM} (on Debian: apt-get install chromium)")
    with launch_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A JupyterLab server for all tests of a file; its kernels can import the helpers in this folder."""
    with serve(tmp_path_factory.mktemp("lab"), APPS["lab"]) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A Notebook 7 server for all tests of a file."""
    with serve(tmp_path_factory.mktemp("notebook"), APPS["notebook"]) as running:
        yield running
