"""Who may answer a request, in what order, and why."""
