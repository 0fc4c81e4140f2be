"""Each kind of a project's file from text into its dataclass, with every problem placed."""
