-- depends: 0001.foundation 0127.run_vault
-- By which key of the deployment a vault is encrypted (docs/reference/privacy.md); none where it is not.
ALTER TABLE run_vault ADD COLUMN key_id text COLLATE "C" NOT NULL DEFAULT '' CHECK (key_id ~ '^([0-9a-f]{16})?$');
