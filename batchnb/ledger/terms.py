"""Terms that the statements about jobs and about batches share."""

from __future__ import annotations

__all__ = ["ATTACHED", "LINK", "LIVE", "UNSENT"]

#: States in which a batch may still bring answers, or may turn out to.
LIVE = ("submitting", "uncertain", "in_progress", "canceling", "ended")

#: The owner of batches that were made elsewhere: their questions are not known, so they cannot be sent again.
ATTACHED = "attached"

#: Requests of a job (:job) that wait to be put into a batch.
UNSENT = """
    FROM job_rows AS j JOIN requests AS r ON r.id = j.request
    WHERE j.job = :job AND r.batch IS NULL AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id)
"""

#: Note which batches carry which jobs' requests; of those j (job_rows), r (requests) and b (batches) a WHERE picks.
LINK = """
    INSERT OR IGNORE INTO job_batches SELECT DISTINCT j.job, b.id FROM job_rows AS j
    JOIN requests AS r ON r.id = j.request JOIN batches AS b ON b.id = r.batch
"""
