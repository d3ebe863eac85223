"""JupyterLab in Chromium, for tests that need to see the page.

Use it as a plugin of a test module: ``pytest_plugins = ["lab"]`` brings the fixtures `lab` and `browser`.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

CHROMIUM = "/usr/bin/chromium"
TESTS = Path(__file__).parent
TIMEOUT = 60_000  # milliseconds, for each step in the page; generous, since nothing should ever come near it

_KERNEL_READY = """() => {
    const widget = window.jupyterapp?.shell.currentWidget, context = widget?.context;
    const session = context?.sessionContext, kernel = session?.session?.kernel;
    return !!(context?.isReady && session?.isReady
              && kernel?.connectionStatus === 'connected' && kernel?.status === 'idle');
}"""


@dataclass
class Lab:
    """A running JupyterLab server."""

    url: str
    token: str
    root: Path

    def write(self, name: str, *cells: str) -> Path:
        """Put a notebook with these code cells into the server's folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.root / name
        nbformat.write(notebook, path)
        return path

    def open(self, browser: Any, name: str, *, width: int = 1000, height: int = 900) -> Any:
        """Open a notebook alone in a new page, and wait until its kernel takes code."""
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(TIMEOUT)
        page.goto(f"{self.url}/lab/tree/{name}?reset&token={self.token}")
        page.wait_for_function(_KERNEL_READY)
        # The file browser would take a third of the page.
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        return page

    @staticmethod
    def command(page: Any, command: str) -> None:
        """Start one of JupyterLab's commands without waiting for it."""
        page.evaluate("command => { window.jupyterapp.commands.execute(command); }", command)

    def run_all(self, page: Any) -> None:
        self.command(page, "notebook:run-all-cells")

    @staticmethod
    def save(page: Any) -> None:
        page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.context.save(); }")


def _settings(folder: Path, theme: str) -> None:
    chosen = {
        "notification-extension": {"fetchNews": "false", "checkForUpdates": False},
        "themes-extension": {"theme": theme},
    }
    for plugin, settings in chosen.items():
        part = plugin.removesuffix("-extension")
        path = folder / "@jupyterlab" / "apputils-extension" / f"{part}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))


@contextmanager
def serve_lab(root: Path, *, theme: str = "JupyterLab Light") -> Iterator[Lab]:
    """Run JupyterLab on a free port, with settings, kernels and files of its own under `root`."""
    folders = {name: root / ".jupyter" / name for name in ("config", "data", "runtime", "workspaces", "settings")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    files = root / "files"
    files.mkdir()
    _settings(folders["settings"], theme)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    config = folders["config"] / "jupyter_server_config.py"
    config.write_text("c.LabApp.expose_app_in_browser = True\n")
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={files}", f"--config={config}",
        f"--LabApp.workspaces_dir={folders['workspaces']}", f"--LabApp.user_settings_dir={folders['settings']}",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folders["config"]),
        "JUPYTER_DATA_DIR": str(folders["data"]),
        "JUPYTER_RUNTIME_DIR": str(folders["runtime"]),
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
    }
    with (root / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=files)
        try:
            lab = Lab(f"http://127.0.0.1:{port}", token, files)
            _await_server(lab, server, root / "lab.log")
            yield lab
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await_server(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; a test that asks for it is skipped where there is none, except in CI."""
    if not Path(CHROMIUM).exists() and os.environ.get("CI") != "true":
        pytest.skip(f"no {CHROMIUM} (on Debian: apt-get install chromium)")
    with launch_chromium() as running:
        yield running


@pytest.fixture(scope="session")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server for the whole session; its kernels can import the helpers in this folder."""
    with serve_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running
