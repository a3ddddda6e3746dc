"""What is measured of runs: curves, statistics, comparisons."""
