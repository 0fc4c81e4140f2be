"""The prompt registry: versions that never change, what a change demands of the next one, scores, lint, exchange."""
