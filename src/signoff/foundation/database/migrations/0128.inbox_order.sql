-- depends: 0001.foundation 0010.runtime
-- Messages of a run keep the order in which they were sent: the generation that each gave its queue's row, under that
-- row's lock. Their ids begin with a millisecond of the sender's clock, and two that came within one, or from servers
-- whose clocks differ, were taken in any order.
ALTER TABLE inbox ADD COLUMN place bigint NOT NULL DEFAULT 0;
