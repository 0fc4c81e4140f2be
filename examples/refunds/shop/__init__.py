"""The example's business system: a small HTTP service with its own database and rules. It knows nothing of Signoff."""
