-- Where a run was started, so that outcomes can be counted by environment: one release may be in several.
-- depends: 0001.foundation 0010.runtime

-- None of runs from before this column, and of forks, which repeat a past that was counted already.
ALTER TABLE run ADD COLUMN environment text CHECK (environment <> '');
