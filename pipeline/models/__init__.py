"""Vision encoder, language model, projector, their assembly as a LLaVA model, and the text form of boxes."""
