"""Questions that were asked more than once: which asking is the newest, and under which tag the next one comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchnb.answers.judge import PAID
from batchnb.ledger.bulk import EACH_DIGEST, digest_values
from batchnb.ledger.store import Store
from batchnb.questions.rows import chunks

__all__ = ["Askings"]

#: The askings of a question (:first, the digest of its first one), the one to give first: the newest that was paid for
#: or waits for its answer; where there is none, the first; else the newest.
_ASKINGS = f"""
    SELECT r.digest, a.outcome IN {PAID} OR (a.outcome IS NULL AND b.state <> 'lost') AS good
    FROM requests AS r LEFT JOIN answers AS a ON a.request = r.id LEFT JOIN batches AS b ON b.id = r.batch
    WHERE r.question = :first OR r.digest = :first
    ORDER BY good IS TRUE DESC, good IS NOT TRUE AND r.digest = :first DESC, r.id DESC LIMIT 1
"""


class Askings:
    """Questions by the digest of their first asking, and their later ones."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self, digests: Iterable[bytes | None]) -> Iterator[bytes | None]:
        """Yield for each question, by the digest of its first asking, the digest of its newest one.

        One that no batch holds, or that failed, does not stand in for an earlier one: so nothing is sent because of it.
        """
        with self._store.read() as db:
            never = db.execute("SELECT 1 FROM requests WHERE question IS NOT NULL LIMIT 1").fetchone() is None
        if never:  # so that who never used `fresh` pays nothing for it
            yield from digests
            return
        for chunk in chunks(digests):
            firsts = list({digest for digest in chunk if digest is not None})
            query = f"""
                {EACH_DIGEST} SELECT DISTINCT r.question FROM given CROSS JOIN requests AS r
                ON r.question = given.digest
            """
            with self._store.read() as db:
                newest = {
                    first: db.execute(_ASKINGS, {"first": first}).fetchone()[0]
                    for (first,) in db.execute(query, digest_values(firsts)).fetchall()
                }
            yield from (newest.get(digest, digest) for digest in chunk)

    def count_asked(self, digests: Iterable[bytes]) -> int:
        """Count the questions, by the digests of their first askings, that were asked, or are about to be."""
        query = """
            SELECT 1 FROM requests AS r WHERE (r.digest = ? OR r.question = ?)
            AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = r.id AND a.batch IS NULL) LIMIT 1
        """
        count = 0
        for chunk in chunks(digests):
            with self._store.read() as db:
                count += sum(db.execute(query, (digest, digest)).fetchone() is not None for digest in chunk)
        return count

    def fresh_tag(self, asking: bytes) -> str:
        """Return the tag under which ``fresh=True`` asks: the last one until all it asked is answered, then a new one.

        Parameters
        ----------
        asking : bytes
            A digest of what is asked, see ``RecipeSpec.asked_digest``.
        """
        unfinished = """
            SELECT 1 FROM fresh AS f JOIN jobs AS k ON k.number = f.job WHERE f.recipe = ? AND f.number = ?
            AND (k.state <> 'ended' OR EXISTS (SELECT 1 FROM job_requests AS j WHERE j.job = k.number
                 AND NOT EXISTS (SELECT 1 FROM answers AS a WHERE a.request = j.request)))
        """
        with self._store.read() as db:
            last = db.execute("SELECT COALESCE(MAX(number), 0) FROM fresh WHERE recipe = ?", (asking,)).fetchone()[0]
            goes_on = db.execute(unfinished, (asking, last)).fetchone() is not None
        return f"#{last if goes_on else last + 1}"
