"""Views in a real kernel: how much they send, and what they leave behind when the kernel is shut down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
#: Of many rows each text stands in several, so that the simulator's work is no part of the test.
SUBMIT = """\
import pandas as pd, batchnb
batchnb.simulate(delay={delay}, responder=lambda params: "ok")
df = pd.DataFrame({{"review": [f"text {{i % 5_000}}" for i in range({rows})]}})
job = df.batch.submit("review", into="label", batch_size={size})"""


def test_a_job_of_100_000_rows_sends_its_view_a_few_updates_a_second_and_none_when_nothing_changes(tmp_path: Path):
    with kernel.running(tmp_path) as running:
        assert running.run(SUBMIT.format(delay=(1, 3), rows=100_000, size=100)).reply["status"] == "ok"
        ended = running.run("frame = job.result()\nprint(job.counts)")
        assert "{'succeeded': 100000}" in ended.text
        updates = [message for message in running.messages if message["msg_type"] == "comm_msg"]
        times = [message["header"]["date"] for message in running.messages]
        seconds = (max(times) - min(times)).total_seconds()
        (_, often) = Counter(message["content"]["comm_id"] for message in updates).most_common(1)[0]
        assert 1 < often <= 4 * seconds + 4
        assert max(len(str(message["content"])) for message in updates) < 10_000
        running.forget()
        running.run("import time\ntime.sleep(3)")
        assert not [message for message in running.messages if message["msg_type"] == "comm_msg"]


def test_a_kernel_that_is_shut_down_leaves_summaries_where_its_views_were(tmp_path: Path):
    with kernel.running(tmp_path) as running:
        sent = "import time\nwhile job.status != 'in_progress': time.sleep(0.01)\nbatchnb.jobs()"
        cells = (SUBMIT.format(delay=(3_600, 3_600), rows=60, size=20), sent, "batchnb.batches()")
        shown = [running.run(cell) for cell in cells]
        displays = {
            output["transient"]["display_id"]: output["data"]
            for cell in shown
            for output in cell.of_type("display_data")
        }
        assert len(displays) == 3
        assert all(WIDGET in data for data in displays.values())
        running.shut_down()
        for message in running.messages:
            if message["msg_type"] == "update_display_data":
                displays[message["content"]["transient"]["display_id"]] = message["content"]["data"]
        assert [set(data) for data in displays.values()] == [{"text/html", "text/plain"}] * 3
        job, jobs, batches = (data["text/plain"] for data in displays.values())
        assert "The job goes on: run the cell again" in job
        assert "In progress" in jobs
        assert "In progress" in batches


def test_the_name_of_a_job_at_the_end_of_a_cell_shows_its_view_once(tmp_path: Path):
    with kernel.running(tmp_path) as running:
        code = SUBMIT.format(delay=(0.01, 0.02), rows=3, size=3)
        assert len(running.run(code + "\njob").of_type("display_data")) == 1
        running.run("job.wait()")
        (again,) = running.run("job").of_type("display_data")
        assert set(again["data"]) == {"text/html", "text/plain"}
        assert "3 succeeded" in again["data"]["text/plain"]
