"""GPT-2, its loss and its sampling."""
