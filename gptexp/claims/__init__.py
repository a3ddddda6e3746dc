"""Claims of a lesson and their verdicts."""
