"""What seeds and arms say together: statistics, comparisons, and what a study can't show."""
