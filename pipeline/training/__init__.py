"""Training: the frozen parts of the embedded profile, then the projector and the language model of each arm."""
