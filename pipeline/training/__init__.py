"""Training: the embedded profile's frozen parts, then the projector and the language model of each arm."""
