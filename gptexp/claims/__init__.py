"""The claims of a lesson and their verdicts."""
