-- Times are Unix times in milliseconds.

-- Facts of this database: its random name, the key of its tokens, the seed of its chance.
CREATE TABLE facts (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- Receivers of updates. Without a url, updates go to the callback_url of each message.
CREATE TABLE webhooks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  url TEXT,
  callback_secret TEXT NOT NULL,
  signing_secret TEXT,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_of_account ON webhooks (account_id);

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  foreign_order_id TEXT NOT NULL,
  products TEXT NOT NULL,
  origin_address TEXT NOT NULL,
  destination_name TEXT NOT NULL,
  destination_address TEXT NOT NULL,
  callback_url TEXT,
  -- 1 if the message was signed with the configured secret: updates to its callback_url are signed with the other one.
  is_signed INTEGER NOT NULL,
  status TEXT NOT NULL,
  -- Number of the last step; 0 is the creation.
  step INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  -- NULL if the status is final.
  next_step_at INTEGER,
  -- One delivery for an order.
  UNIQUE (account_id, foreign_order_id)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (next_step_at) WHERE next_step_at IS NOT NULL;

CREATE TABLE steps (
  delivery_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  status TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_by_time ON steps (at, delivery_id);

-- Keys of received messages: the webhook-id or the Idempotency-Key.
CREATE TABLE messages (
  account_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_by_time ON messages (received_at);

-- The outbox: one row for each change and receiver, written in the transaction of the change.
CREATE TABLE notifications (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  -- Id of the webhook; 0 is the configured callback secret.
  receiver INTEGER NOT NULL,
  url TEXT NOT NULL,
  webhook_id TEXT NOT NULL UNIQUE,
  body TEXT NOT NULL,
  tries INTEGER NOT NULL,
  -- NULL while an earlier one of the same delivery and receiver is not done, and when it is done itself. A claim moves it
  -- forward.
  next_try_at INTEGER,
  last_status INTEGER,
  done_at INTEGER,
  is_taken INTEGER NOT NULL DEFAULT 0,
  UNIQUE (delivery_id, receiver, number)
) STRICT;
CREATE INDEX notifications_due ON notifications (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX notifications_waiting ON notifications (receiver) WHERE done_at IS NULL;
