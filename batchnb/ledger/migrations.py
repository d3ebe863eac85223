"""The ledger's schema, as the steps that led to it. The one place that describes it.

Each step is applied and recorded (``PRAGMA user_version``) in one transaction. A step that has been released is never
changed; a new one is added below it.
"""

from __future__ import annotations

__all__ = ["STEPS"]

STEPS: tuple[str, ...] = (
    """
    -- What this file is: its scope, and the id of the simulator whose answers it keeps, if any.
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    -- What the rows of a recipe share, once: the JSON around the row's own part, the beta headers, the reply asked for.
    CREATE TABLE envelopes (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        head BLOB NOT NULL, tail BLOB NOT NULL, betas TEXT NOT NULL, reply TEXT NOT NULL
    );

    -- A batch, from the intent to make it (no server_id yet) to its last result. Times are seconds since the epoch.
    -- state: submitting  the create call is being made by the owner
    --        uncertain   no usable answer came; it may or may not exist
    --        refused     nothing was made; its requests have been let go
    --        in_progress, canceling   as the server says
    --        ended       as the server says; results not all read yet
    --        collected   every request has its answer
    --        lost        the server no longer knows it, or it could not be settled; waits for a decision
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY,
        server_id TEXT UNIQUE,
        state TEXT NOT NULL,
        owner TEXT NOT NULL,
        requests INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        intended_at REAL NOT NULL,
        failed_at REAL,
        created_at REAL, expires_at REAL, ended_at REAL, checked_at REAL,
        processing INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,
        errored INTEGER NOT NULL DEFAULT 0, canceled INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0,
        cancel_asked INTEGER NOT NULL DEFAULT 0,
        note TEXT
    );

    -- A question, asked once whatever the job. batch: the one that holds it or held it last; NULL: never in a batch, or
    -- let go to be sent again. An integer rowid with a unique digest index measured faster than clustering by digest.
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        envelope INTEGER NOT NULL REFERENCES envelopes (id),
        label TEXT NOT NULL,
        content BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        batch INTEGER REFERENCES batches (id)
    );
    CREATE INDEX requests_batch ON requests (batch) WHERE batch IS NOT NULL;

    -- The outcome of a request. result is the API's own JSON. batch NULL: no batch ever held it (refused, canceled).
    CREATE TABLE answers (
        request INTEGER PRIMARY KEY REFERENCES requests (id),
        batch INTEGER REFERENCES batches (id),
        outcome TEXT NOT NULL,
        error TEXT,
        model TEXT NOT NULL,
        input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_read INTEGER NOT NULL,
        cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, geo TEXT,
        result BLOB NOT NULL
    );

    -- state: open, canceling (waiting for the server to let go) or ended.
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        recipe TEXT NOT NULL,
        rows INTEGER NOT NULL,
        reused INTEGER NOT NULL,
        batch_size INTEGER NOT NULL,
        max_bytes INTEGER NOT NULL,
        retries INTEGER NOT NULL,
        created_at REAL NOT NULL,
        ended_at REAL,
        note TEXT
    );

    -- A row of a job's frame. request NULL: nothing to send, for the reason in note.
    CREATE TABLE job_rows (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        request INTEGER REFERENCES requests (id),
        key TEXT,
        note TEXT,
        PRIMARY KEY (job, position)
    ) WITHOUT ROWID;

    -- Which batches carry a job's requests, also those another job sent.
    CREATE TABLE job_batches (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        batch INTEGER NOT NULL REFERENCES batches (id),
        PRIMARY KEY (job, batch)
    ) WITHOUT ROWID;
    """,
    """
    -- given_up: 0  never
    --           1  was lost, and may be looked at again: then the next failure of the same kind is believed at once
    --           2  no listing can settle it any more: lost until somebody decides
    ALTER TABLE batches ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;

    -- Batches of the server that this ledger did not send, or no longer knows that it did, and whose results have been
    -- read to take answers back; complete: to their end.
    CREATE TABLE read_batches (
        server_id TEXT PRIMARY KEY,
        requests INTEGER NOT NULL,
        succeeded INTEGER NOT NULL, errored INTEGER NOT NULL, canceled INTEGER NOT NULL, expired INTEGER NOT NULL,
        created_at REAL, expires_at REAL, ended_at REAL,
        complete INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;

    -- Paid answers found in them, until a job asks the question. result is the API's own JSON.
    CREATE TABLE recovered (
        digest BLOB PRIMARY KEY,
        server_id TEXT NOT NULL REFERENCES read_batches (server_id),
        result BLOB NOT NULL
    ) WITHOUT ROWID;

    -- Asking a question once more. question: the digest of its first asking; NULL: this is the first asking. A further
    -- sample of a row (samples=) is a question of its own.
    ALTER TABLE requests ADD COLUMN question BLOB;
    CREATE INDEX requests_question ON requests (question) WHERE question IS NOT NULL;

    -- Which jobs asked a recipe once more by fresh=True: under the tag "#<number>". recipe: a digest of what it asks.
    -- The number stays when the job is deleted, so that no tag comes twice.
    CREATE TABLE fresh (
        recipe BLOB NOT NULL,
        number INTEGER NOT NULL,
        job INTEGER REFERENCES jobs (number) ON DELETE SET NULL
    );
    CREATE INDEX fresh_recipe ON fresh (recipe, number);

    -- A job of several samples, as its recipe says (jobs.recipe, $.samples; absent: 1), has so many job_rows for every
    -- row of its frame: job_rows.position = row * samples + sample, both from 0. jobs.rows and jobs.reused count the
    -- frame's rows.
    """,
    """
    -- How a job's requests are delivered, as JSON: see batchnb.costs.delivery.
    ALTER TABLE jobs ADD COLUMN delivery TEXT NOT NULL DEFAULT '{}';

    -- standard: 1  no batch, but requests sent one by one through Messages, at the standard price (a pilot)
    ALTER TABLE batches ADD COLUMN standard INTEGER NOT NULL DEFAULT 0;

    -- Files that requests name by their content (see batchnb.questions.media), and where the server has them:
    -- server_id NULL: it has not, or no longer. expires_at NULL: they do not. owner: who is uploading it. The bytes
    -- are never in here.
    CREATE TABLE files (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        media_type TEXT NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        server_id TEXT,
        uploaded_at REAL, expires_at REAL,
        owner TEXT
    );
    CREATE INDEX files_server_id ON files (server_id) WHERE server_id IS NOT NULL;

    -- Which requests name them.
    CREATE TABLE request_files (
        request INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
        file INTEGER NOT NULL REFERENCES files (id),
        PRIMARY KEY (request, file)
    ) WITHOUT ROWID;
    CREATE INDEX request_files_file ON request_files (file);
    """,
    """
    -- cache: for how long what the batch's requests share was asked to be cached ('5m', '1h'); NULL: not at all
    ALTER TABLE batches ADD COLUMN cache TEXT;
    """,
    """
    -- The texts of requests, apart: what is looked for and claimed lies closer together, and is written in less time.
    -- (Tables are made anew, since SQLite drops no columns before 3.35.)
    CREATE TABLE contents (request INTEGER PRIMARY KEY, label TEXT NOT NULL, content BLOB NOT NULL);
    INSERT INTO contents SELECT id, label, content FROM requests;
    CREATE TABLE questions (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        envelope INTEGER NOT NULL REFERENCES envelopes (id),
        attempts INTEGER NOT NULL DEFAULT 0,
        batch INTEGER REFERENCES batches (id),
        question BLOB
    );
    INSERT INTO questions SELECT id, digest, envelope, attempts, batch, question FROM requests;
    DROP TABLE requests;
    ALTER TABLE questions RENAME TO requests;
    CREATE INDEX requests_question ON requests (question) WHERE question IS NOT NULL;
    -- With those that no batch holds: so that what waits to be sent is found without looking at the rest.
    CREATE INDEX requests_batch ON requests (batch);

    -- The rows of a job, run by run: positions that follow each other and ask requests that follow each other. A frame
    -- of new questions is one run for every few thousand rows (LONGEST, in fragments.py); one that repeats an earlier
    -- one, or is skipped, is a run of its own. request NULL: nothing to send, for the reason in note.
    CREATE TABLE job_runs (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        length INTEGER NOT NULL,
        request INTEGER,
        note TEXT,
        PRIMARY KEY (job, position)
    ) WITHOUT ROWID;
    INSERT INTO job_runs
        SELECT job, MIN(position), COUNT(*), MIN(request), NULL
        FROM (SELECT job, position, request,
                     position - ROW_NUMBER() OVER (PARTITION BY job, request - position ORDER BY position) AS gap
              FROM job_rows WHERE request IS NOT NULL)
        GROUP BY job, request - position, gap, position / 5000
        UNION ALL SELECT job, position, 1, NULL, note FROM job_rows WHERE request IS NULL;
    CREATE INDEX job_runs_request ON job_runs (job, request) WHERE request IS NOT NULL;

    -- The names of rows, in jobs that have a key=.
    CREATE TABLE job_keys (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (job, position)
    ) WITHOUT ROWID;
    INSERT INTO job_keys SELECT job, position, key FROM job_rows WHERE key IS NOT NULL;
    DROP TABLE job_rows;

    -- The rows that ask something, one by one; and all rows.
    CREATE VIEW job_requests AS
        SELECT u.job AS job, u.position + r.id - u.request AS position, r.id AS request
        FROM job_runs AS u CROSS JOIN requests AS r ON r.id BETWEEN u.request AND u.request + u.length - 1;
    CREATE VIEW job_rows AS
        SELECT j.job AS job, j.position AS position, j.request AS request, k.key AS key, NULL AS note
        FROM job_requests AS j LEFT JOIN job_keys AS k ON k.job = j.job AND k.position = j.position
        UNION ALL
        SELECT u.job, u.position, NULL, k.key, u.note
        FROM job_runs AS u LEFT JOIN job_keys AS k ON k.job = u.job AND k.position = u.position
        WHERE u.request IS NULL;

    -- repeats: 0  no two of its rows ask the same
    ALTER TABLE jobs ADD COLUMN repeats INTEGER NOT NULL DEFAULT 1;

    -- Which model answered, and where: the same few for thousands of answers.
    CREATE TABLE origins (id INTEGER PRIMARY KEY, model TEXT NOT NULL, geo TEXT);
    CREATE UNIQUE INDEX origins_names ON origins (model, COALESCE(geo, ''));
    INSERT INTO origins (model, geo) SELECT DISTINCT model, geo FROM answers WHERE model <> '';

    -- The outcome of a request, as before; origin NULL: no model answered.
    CREATE TABLE outcomes (
        request INTEGER PRIMARY KEY,
        batch INTEGER,
        outcome TEXT NOT NULL,
        error TEXT,
        origin INTEGER,
        input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
        cache_read INTEGER NOT NULL DEFAULT 0,
        cache_write_5m INTEGER NOT NULL DEFAULT 0, cache_write_1h INTEGER NOT NULL DEFAULT 0,
        result BLOB NOT NULL
    );
    INSERT INTO outcomes
        SELECT request, batch, outcome, error,
               (SELECT id FROM origins AS o WHERE o.model = a.model AND o.geo IS a.geo),
               input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h, result
        FROM answers AS a;
    DROP TABLE answers;
    ALTER TABLE outcomes RENAME TO answers;
    -- Answers that no batch gave: refused, or canceled before they were sent.
    CREATE INDEX answers_without_batch ON answers (request) WHERE batch IS NULL;

    -- What a collected batch brought for the rows of a job, counted once, as JSON: see counts.py. NULL: not yet, or no
    -- longer true.
    ALTER TABLE job_batches ADD COLUMN tally TEXT;
    CREATE INDEX job_batches_batch ON job_batches (batch);
    CREATE TRIGGER tally_of_deleted AFTER DELETE ON answers WHEN old.batch IS NOT NULL BEGIN
        UPDATE job_batches SET tally = NULL WHERE batch = old.batch AND tally IS NOT NULL;
    END;
    CREATE TRIGGER tally_of_changed AFTER UPDATE ON answers BEGIN
        UPDATE job_batches SET tally = NULL WHERE batch IN (old.batch, new.batch) AND tally IS NOT NULL;
    END;
    CREATE TRIGGER tally_of_moved AFTER UPDATE OF batch ON requests WHEN old.batch IS NOT NULL BEGIN
        UPDATE job_batches SET tally = NULL WHERE batch IN (old.batch, new.batch) AND tally IS NOT NULL;
    END;
    """,
    """
    -- canceled: 1  it was canceled, and wants nothing sent but what is named in wanted
    ALTER TABLE jobs ADD COLUMN canceled INTEGER NOT NULL DEFAULT 0;
    -- Of one that had ended it was not kept: what was answered so stays so until retry(), whichever job it was.
    UPDATE jobs SET canceled = 1 WHERE state = 'canceling' OR state = 'ended' AND EXISTS (
        SELECT 1 FROM job_runs AS u CROSS JOIN answers AS a ON a.request BETWEEN u.request AND u.request + u.length - 1
        WHERE u.job = number AND a.outcome = 'canceled');

    -- What is asked again of jobs that were canceled.
    CREATE TABLE wanted (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        request INTEGER NOT NULL,
        PRIMARY KEY (job, request)
    ) WITHOUT ROWID;
    """,
    """
    -- What the server's answers told beside their bodies; NULL: not known. server_at: when the batch was about to be
    -- sent, by the server's clock. sought_at: when, having got no answer, it was first looked for, by that clock too.
    -- skew: how far that clock was ahead of this machine's when the server last told of the batch, in seconds.
    ALTER TABLE batches ADD COLUMN server_at REAL;
    ALTER TABLE batches ADD COLUMN skew REAL;
    ALTER TABLE batches ADD COLUMN sought_at REAL;

    -- Where the key belonged that it was sent with, by the server's own ids. NULL: not known.
    ALTER TABLE batches ADD COLUMN organization TEXT;
    ALTER TABLE batches ADD COLUMN workspace TEXT;

    -- deleted: 1  on the server, from here: no listing shows it any more
    ALTER TABLE batches ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Since when asking the server of a batch has failed each time; and since when in such a way that waiting does not
    -- help, and how often. NULL, NULL and 0: the last time it did not.
    ALTER TABLE batches ADD COLUMN failing_since REAL;
    ALTER TABLE batches ADD COLUMN doubted_since REAL;
    ALTER TABLE batches ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;
    """,
)
