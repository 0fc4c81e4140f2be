"""Names that people move between the versions of a prompt, and what is shown beside each version."""
