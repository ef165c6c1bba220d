"""From raw images and captions to patch-word supervision, and to multimodal LLMs trained with it.

Imports point one way: sources, phrases, grounding, patches -> tables; training, evaluation -> models,
tables; report -> tables. Nothing here imports prefect or dvc.
"""

import gc

# Importing torch and transformers makes half a million objects, none of them garbage. With Python's own
# threshold, 700, the collector goes through them over and over: a quarter of what a stage takes to start.
gc.set_threshold(100_000, 50, 50)
