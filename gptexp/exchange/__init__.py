"""Models in the formats of other tools: transformers' GPT-2 and nanoGPT's tensors, written and read."""
