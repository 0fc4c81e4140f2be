"""What keeps a call honest when a model fails: timeouts by phase, retries, breakers, streams that go on elsewhere."""
