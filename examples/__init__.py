"""Projects to read and run."""
