"""From raw images and captions to patch-word supervision, and to multimodal LLMs trained with it.

Imports point one way: sources, phrases, grounding, patches -> tables; training, evaluation -> models,
tables; report -> tables. Nothing here imports prefect or dvc.
"""
