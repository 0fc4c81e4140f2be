-- Reviews: what was proposed to whom, exactly as shown, and what a person made of it.
-- depends: 0001.foundation

CREATE TABLE review (
    org_id        uuid        NOT NULL REFERENCES organisation,
    review_id     uuid        NOT NULL,
    -- No foreign key to the run: a run's rows are partitioned and leave by their own retention.
    run_id        uuid        NOT NULL,
    path          text        NOT NULL,
    workflow      text        NOT NULL,
    workflow_version text     NOT NULL,
    risk          text        NOT NULL CHECK (risk IN ('low', 'medium', 'high')),
    release       text        NOT NULL,
    title         text        NOT NULL,
    role          text        NOT NULL CHECK (role <> ''),
    escalate_to   text[]      NOT NULL DEFAULT '{}',
    started_by    text        NOT NULL,
    status        text        NOT NULL DEFAULT 'open'
                  CHECK (status IN ('open', 'approved', 'rejected', 'expired', 'withdrawn')),
    version       integer     NOT NULL DEFAULT 1 CHECK (version >= 1),
    -- Bytes and not jsonb: the digest is of exactly these bytes, and jsonb neither keeps them nor holds U+0000.
    presented     bytea       NOT NULL,
    digest        text        NOT NULL,
    annotations   bytea       NOT NULL,
    opened_at     timestamptz NOT NULL,
    escalate_at   timestamptz,
    escalated_at  timestamptz,
    expire_at     timestamptz,
    closed_at     timestamptz,
    decided_by    text,
    final_values  bytea,
    reason        text,
    comment       text,
    PRIMARY KEY (org_id, review_id),
    CONSTRAINT review_once_per_step UNIQUE (org_id, run_id, path),
    CONSTRAINT review_digest_is_of_what_was_presented CHECK (digest = encode(sha256(presented), 'hex')),
    CONSTRAINT review_escalates_to_somebody CHECK ((escalate_at IS NULL) = (cardinality(escalate_to) = 0)),
    CONSTRAINT review_escalated_if_it_may_be CHECK (escalated_at IS NULL OR escalate_at IS NOT NULL),
    CONSTRAINT review_closed_if_not_open CHECK ((closed_at IS NULL) = (status = 'open')),
    CONSTRAINT review_decided_by_somebody CHECK ((decided_by IS NOT NULL) = (status IN ('approved', 'rejected'))),
    CONSTRAINT review_approved_with_values CHECK ((final_values IS NOT NULL) = (status = 'approved')),
    CONSTRAINT review_rejected_with_reason CHECK (status <> 'rejected' OR coalesce(reason, '') <> ''),
    CONSTRAINT review_words_only_of_a_decision
        CHECK (status IN ('approved', 'rejected') OR (reason IS NULL AND comment IS NULL)),
    CONSTRAINT review_expires_after_it_opens CHECK (expire_at IS NULL OR expire_at >= opened_at)
);

-- The inbox's order: what expires first, then what waits longest.
CREATE INDEX review_inbox ON review
    (org_id, status, (coalesce(expire_at, 'infinity'::timestamptz)), opened_at, review_id);

SELECT signoff_protect('review');
