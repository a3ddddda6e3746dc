"""The lesson's own loops, as a student types them: the page shows this source, and tests run it."""
