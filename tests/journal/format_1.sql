-- The tables of format 1, as they were first written.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Records of interceptions that are open: a row a commit.
CREATE TABLE batch (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
-- Interceptions that were finalised: for repeats, late records and threads.
CREATE TABLE closed (
    interception BLOB NOT NULL, closed_at_ns INTEGER NOT NULL, start BLOB, initiator BLOB,
    root BLOB NOT NULL, labels TEXT NOT NULL, identities BLOB NOT NULL, tools TEXT NOT NULL);
CREATE UNIQUE INDEX closed_interception ON closed (interception);
-- Which interception asked for which tool call; `call` is a hash of initiator and call id.
CREATE TABLE tool_call (
    call INTEGER NOT NULL, interception BLOB NOT NULL, started_at_ns INTEGER NOT NULL,
    closed_at_ns INTEGER NOT NULL);
CREATE INDEX tool_call_call ON tool_call (call);
-- Interceptions whose client's tool work was told with a follow-up.
CREATE TABLE answered (parent BLOB PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
-- What will be told; `destinations` is a bit mask of destination ids.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, signal TEXT NOT NULL, destinations INTEGER NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL);
-- Holds all but the bodies: sums and scans of a large backlog read no body.
CREATE INDEX outbox_order ON outbox (signal, destinations, seq, items, size);
CREATE TABLE destination (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, variant TEXT NOT NULL,
    traces INTEGER NOT NULL DEFAULT 0, logs INTEGER NOT NULL DEFAULT 0,
    metrics TEXT NOT NULL DEFAULT '');
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, destination TEXT NOT NULL, signal TEXT NOT NULL,
    items INTEGER NOT NULL, at_ns INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
-- The ledger.
CREATE TABLE series (
    instrument TEXT NOT NULL, attributes TEXT NOT NULL, born_at_ns INTEGER NOT NULL,
    value INTEGER, counts TEXT, total REAL, PRIMARY KEY (instrument, attributes)) WITHOUT ROWID;
CREATE TABLE admitted (label TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (label, value))
    WITHOUT ROWID;
CREATE TABLE usage (
    day TEXT NOT NULL, user BLOB NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    client TEXT NOT NULL, interceptions INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    reasoning INTEGER NOT NULL, cost_nanos INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    prompts INTEGER NOT NULL, tool_calls INTEGER NOT NULL,
    PRIMARY KEY (day, user, provider, model, client)) WITHOUT ROWID;
CREATE TABLE user (id BLOB PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
