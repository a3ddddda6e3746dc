"""Checks an author's own text against the ledger of claims and the records: which sentences hold, which don't."""
