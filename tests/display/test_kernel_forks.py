"""A live kernel that forks: its child works, in text, and the kernel goes on as before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kernel import running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")]

CELL = """
import json, os, sys
import pandas as pd, batchnb
running = batchnb.simulate(delay=(0.2, 0.4))
frame = pd.DataFrame({"review": [f"good {number}" for number in range(20)]})
job = frame.batch.submit("review", labels=["a", "b"], batch_size=5)
pid = os.fork()
if pid == 0:
    try:
        found = {"there": job.result(60)["review_label_status"].tolist().count("succeeded")}
        own = frame.assign(review=frame["review"] + "!").batch.submit("review", labels=["a", "b"])
        found["own"] = own.result(60)["review_label_status"].tolist().count("succeeded")
    except BaseException as error:
        found = {"error": repr(error)}
    with open("told.json", "w") as file:
        json.dump(found, file)
    os._exit(0)
code = os.waitpid(pid, 0)[1]
"""


def test_a_child_of_a_kernel_works_and_the_kernel_goes_on(tmp_path: Path):
    with running(tmp_path) as kernel:
        cell = kernel.run(CELL)
        assert cell.reply["status"] == "ok", cell.text
        assert kernel.value("(code, json.load(open('told.json')))") == "(0, {'there': 20, 'own': 20})"
        assert kernel.value("job.result(60)['review_label_status'].tolist().count('succeeded')") == "20"
        assert kernel.value("len(running.record())") == "40"
        assert kernel.value("running.state.exists()") == "True"
