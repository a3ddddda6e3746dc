"""The run directory: writing, reading, checking and cleaning up the files of one run."""
