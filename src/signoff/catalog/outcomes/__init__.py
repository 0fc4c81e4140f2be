"""What workflows came to: their runs counted by outcome, and their goals beside what was measured."""
