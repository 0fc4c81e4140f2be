-- Retrieval: chunks with their place in the source, BM25 postings and vectors, kept together per index.
-- depends: 0001.foundation

-- An index is named by its content, so that a release which changes no document builds nothing. It never changes.
CREATE TABLE retrieval_index (
    org_id     uuid        NOT NULL REFERENCES organisation,
    index_id   uuid        NOT NULL,
    digest     text        NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    language   text        NOT NULL,
    documents  integer     NOT NULL CHECK (documents >= 0),
    chunks     integer     NOT NULL CHECK (chunks >= 0),
    embedder   text,
    dimensions integer     CHECK (dimensions > 0),
    built_at   timestamptz NOT NULL,
    PRIMARY KEY (org_id, index_id),
    UNIQUE (org_id, digest),
    CONSTRAINT retrieval_index_vectors_have_a_model CHECK ((embedder IS NULL) = (dimensions IS NULL))
);

-- What a release calls by name.
CREATE TABLE retrieval_release (
    org_id   uuid NOT NULL REFERENCES organisation,
    release  text NOT NULL,
    name     text NOT NULL CHECK (name <> ''),
    index_id uuid NOT NULL,
    PRIMARY KEY (org_id, release, name),
    FOREIGN KEY (org_id, index_id) REFERENCES retrieval_index
);
CREATE INDEX retrieval_release_by_index ON retrieval_release (org_id, index_id);

-- Offsets count characters (code points) of the document, end exclusive: document[start:end] = text.
CREATE TABLE retrieval_chunk (
    org_id       uuid    NOT NULL REFERENCES organisation,
    index_id     uuid    NOT NULL,
    chunk_no     integer NOT NULL CHECK (chunk_no > 0),
    path         text    NOT NULL,
    ordinal      integer NOT NULL CHECK (ordinal > 0),
    heading      text[]  NOT NULL,
    start_offset integer NOT NULL CHECK (start_offset >= 0),
    end_offset   integer NOT NULL,
    text         text    NOT NULL,
    PRIMARY KEY (org_id, index_id, chunk_no),
    UNIQUE (org_id, index_id, path, ordinal),
    FOREIGN KEY (org_id, index_id) REFERENCES retrieval_index ON DELETE CASCADE,
    CONSTRAINT retrieval_chunk_is_its_span CHECK (end_offset - start_offset = char_length(text))
);

-- One row per lexeme, its chunks by falling impact: the share of the BM25 score, which never changes as the index
-- does not. A row per posting took ten times the space; a query now reads one row per term.
CREATE TABLE retrieval_posting (
    org_id    uuid   NOT NULL REFERENCES organisation,
    index_id  uuid   NOT NULL,
    lexeme    text   NOT NULL,
    chunk_nos integer[] NOT NULL,
    impacts   real[] NOT NULL,
    PRIMARY KEY (org_id, index_id, lexeme),
    FOREIGN KEY (org_id, index_id) REFERENCES retrieval_index ON DELETE CASCADE,
    CONSTRAINT retrieval_posting_pairs CHECK (cardinality(chunk_nos) = cardinality(impacts) AND cardinality(impacts) > 0)
);

-- Apart from the text, so that the scan over vectors reads nothing else and no row is moved out of line. The column
-- has no dimension, as each index has its model's; there is no approximate index: filtered by organisation and index,
-- it would miss results, and the exact scan is fast at the sizes allowed. No foreign key to the chunk: checked on a
-- table without statistics, it read the whole index for each row.
CREATE TABLE retrieval_vector (
    org_id    uuid    NOT NULL REFERENCES organisation,
    index_id  uuid    NOT NULL,
    chunk_no  integer NOT NULL,
    embedding vector  NOT NULL,
    PRIMARY KEY (org_id, index_id, chunk_no),
    FOREIGN KEY (org_id, index_id) REFERENCES retrieval_index ON DELETE CASCADE
);

SELECT signoff_protect('retrieval_index');
SELECT signoff_protect('retrieval_release');
SELECT signoff_protect('retrieval_chunk');
SELECT signoff_protect('retrieval_posting');
SELECT signoff_protect('retrieval_vector');
