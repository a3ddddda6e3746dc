"""Named studies: what is compared, at which scale, and how the runs are carried out."""
