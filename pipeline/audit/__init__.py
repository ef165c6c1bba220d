"""How good is an annotation source? Its regions against the boxes that people drew.

``truth.py`` says which boxes are a phrase's true ones, ``scoring.py`` compares a source's regions with them,
``measures.py`` makes shares and intervals of it, ``images.py`` chooses what is looked at.
"""
