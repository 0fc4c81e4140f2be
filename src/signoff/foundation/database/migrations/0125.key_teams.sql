-- An API key counts for a team: who shows it cannot choose another to get round that team's limits.
-- depends: 0001.foundation 0020.identity

-- Empty for none. Nobody changes it later: a key of another team is another key.
ALTER TABLE api_key ADD COLUMN team text NOT NULL DEFAULT '';
