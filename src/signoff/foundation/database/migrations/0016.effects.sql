-- What an approval was used for: a digest of the tool, its arguments, the evidence and the versions. None in rows from before.
-- depends: 0001.foundation 0010.runtime
ALTER TABLE approval_use ADD COLUMN effect_digest text;
