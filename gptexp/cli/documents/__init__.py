"""The formats of what `--json` prints, as models. docs/json.md and docs/json.schema.json are made from them.

No command imports these: they would make it slow. A test holds what commands print against them.
"""
