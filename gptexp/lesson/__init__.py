"""The lesson's own training loops, as a student would write them. The page shows this source, and tests run it."""
