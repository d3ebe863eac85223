"""What a person sees of a job: widgets, HTML and text, all drawn from a frozen snapshot.

Importing this package loads neither ipywidgets nor IPython nor tqdm; the first view that needs them does.
"""

from __future__ import annotations

from batchnb.display.estimate import Estimate
from batchnb.display.job_html import summary_html
from batchnb.display.job_view import Job, JobView
from batchnb.display.pilot import FULL_PRICE, PilotRow, PilotView, pilot_text
from batchnb.display.pilot_bar import call_bar
from batchnb.display.pilot_html import pilot_html
from batchnb.display.preview import Preview, PreviewRow
from batchnb.display.preview_html import preview_html
from batchnb.display.progress import embed, has_front_end, show
from batchnb.display.text import TextProgress, line_text, preview_text, summary_text, table_text
from batchnb.request_counts import RequestCounts
from batchnb.snapshot import BatchLine, ErrorKind, Snapshot, Usual

__all__ = [
    "FULL_PRICE",
    "BatchLine",
    "ErrorKind",
    "Estimate",
    "Job",
    "JobView",
    "PilotRow",
    "PilotView",
    "Preview",
    "PreviewRow",
    "RequestCounts",
    "Snapshot",
    "TextProgress",
    "Usual",
    "call_bar",
    "embed",
    "has_front_end",
    "line_text",
    "pilot_html",
    "pilot_text",
    "preview_html",
    "preview_text",
    "show",
    "summary_html",
    "summary_text",
    "table_text",
]
