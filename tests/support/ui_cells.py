"""Cells that the browser tests run, in JupyterLab and in Notebook 7: real jobs on the simulator."""

from __future__ import annotations

#: A simulator for jobs of which eight batches end one after another, and the rest not before they are canceled.
SIMULATE = """\
import os, time
import batchnb
from batchnb.demo import sample
from batchnb.sim import Fault

simulator = batchnb.simulate(delay=(1, 8), seed=3)
simulator.inject(Fault("slow_batch", seconds=36_000, after=8, times=-1))"""
#: Ten batches of six rows.
SUBMIT = """\
job = sample().head(60).batch.submit(
    "review", "Which mood? {review}", labels=["good", "bad"], batch_size=6, name="moods"
)"""
START = f"{SIMULATE}\n{SUBMIT}"

#: Computes until it has seen two batches end, and then until the test says that the page has shown that as well.
BUSY = """\
def ended(): return sum(job.batches["state"] == "ended")
wanted = min(ended() + 2, 8)
while ended() < wanted: sum(range(10_000))
print("saw", wanted, "ended")
while not os.path.exists("shown"): time.sleep(0.01)
print("done", "computing")"""
AWAIT = """\
print("now", "waiting")
answers = await job
print("waited for", len(answers), "rows")"""
RESULT = """\
print("now", "waiting", flush=True)
answers = job.result()
print("waited for", len(answers), "rows")"""
AFTER = """\
print("the next", "cell ran")"""

#: What a notebook that is run again must find as it was: the job, its batches, all batches, and the rows ever asked.
FACTS = """\
mine, all_ids = sorted(job.batches["id"]), sorted(batchnb.batches().to_frame()["id"])
print("kernel", os.getpid(), "has", job.id, ",".join(mine), ",".join(all_ids), len(simulator.record()), "asked")
open("job", "w").write(job.id);"""
ATTACH = """\
job = batchnb.attach(open("job").read())"""

#: A job that ends by itself, two of its ten batches with errors in every row.
ENDED = f"""\
import batchnb
from batchnb.demo import sample
from batchnb.sim import Fault

simulator = batchnb.simulate(delay=(0.1, 0.5), seed=3)
simulator.inject(Fault("errored", error_type="invalid_request_error", times=2))
{SUBMIT}"""

_TRICKY = """\
import batchnb, pandas as pd
from batchnb.sim import Fault
from fake_job import HOSTILE

def refuse(params): raise ValueError(HOSTILE)
simulator = batchnb.simulate(delay=(0.1, 0.5), seed=3, responder=refuse)
frame = pd.DataFrame({HOSTILE: [f"{HOSTILE} {number}" for number in range(5)]})"""
#: Data that would run, if anything of it did: as a column's name, as text, as a job's name, and in what errors say.
TRICKED = (
    f"""{_TRICKY}
ended = frame.batch.submit(HOSTILE, retries=0)
answers = await ended""",
    """\
simulator.inject(Fault("slow_batch", seconds=36_000))
live = frame.batch.submit(HOSTILE, "Is this good? {" + HOSTILE + "}", name=HOSTILE)""",
    "frame.batch.preview(HOSTILE)",
    "ended.errors()",
    # What stands between two dollars elsewhere is drawn as mathematics.
    "from IPython.display import HTML\nHTML('<p>$x^2$</p>')",
    AFTER,
)

#: Everything a view can show: first what no job has all at once.
EVERY_PART = (
    """\
from dataclasses import replace
from batchnb.display.snapshot import ErrorKind
from batchnb.answers.request_counts import RequestCounts
from batchnb.display.job.screen import show
from fake_job import FakeJob, batch, running
counts = RequestCounts(processing=100, succeeded=100, errored=20, canceled=30, expired=40)
parts = (*(batch(number, ended=True) for number in range(3)), replace(batch(3, ended=False), counts=counts))
snapshot = running(batches=parts, unsent=300, rows=1_500, simulated=True, note="Waiting: the server is busy.",
                   errors=(ErrorKind("invalid_request_error", 12, "row 7"), ErrorKind("expired", 40)), reused=4)
show(FakeJob(snapshot)), show(FakeJob(snapshot));""",
    ENDED + "\nanswers = await job",
    'sample().batch.preview("review", "Which mood? {review}", system="Be brief.")',
    "batchnb.jobs()",
    "batchnb.batches()",
    'form = sample().batch.compose("review", "Which mood? {review}", labels=["good", "bad"])',
    AFTER,
)
