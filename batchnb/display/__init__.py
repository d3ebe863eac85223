"""What a person sees of a job: widgets, HTML and text, all drawn from a frozen snapshot.

Importing this package loads neither ipywidgets nor IPython nor tqdm; the first view that needs them does.
"""

from __future__ import annotations

from batchnb.display.html import preview_html, summary_html
from batchnb.display.preview import Preview, PreviewRow
from batchnb.display.progress import Job, JobView, show
from batchnb.display.text import TextProgress, line_text, preview_text, summary_text
from batchnb.snapshot import BatchLine, RequestCounts, Snapshot

__all__ = [
    "BatchLine",
    "Job",
    "JobView",
    "Preview",
    "PreviewRow",
    "RequestCounts",
    "Snapshot",
    "TextProgress",
    "line_text",
    "preview_html",
    "preview_text",
    "show",
    "summary_html",
    "summary_text",
]
