"""Records to frames to statistics."""
