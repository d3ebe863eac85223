"""The first widget of a kernel: how long a cell takes to show a job, with all that this loads. In a real kernel."""

from __future__ import annotations

import os
import tempfile

from benchmarks.measure import report, served
from benchmarks.stub import MODEL

CELL = f"""
import time
import pandas as pd, batchnb
frame = pd.DataFrame({{"review": ["Good.", "Bad."]}})
job = frame.batch.submit("review", labels=None, model={MODEL!r}, into="answer", progress=False)
job.wait()
started = time.perf_counter()
batchnb.attach(job.id)
took = time.perf_counter() - started
"""


def main() -> None:
    from jupyter_client.manager import start_new_kernel

    with tempfile.TemporaryDirectory() as home, served():
        manager, client = start_new_kernel(env=os.environ | {"BATCHNB_HOME": home})
        try:
            reply = client.execute_interactive(CELL, user_expressions={"took": "took"}, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok", reply
            report(took=float(reply["content"]["user_expressions"]["took"]["data"]["text/plain"]))
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
