"""From regions in pixels to the encoder's patch grid: geometry, exact coverage, the patch-word table.

- `geometry`: the affine map from image pixels to encoder input, read from the encoder's own folder.
- `processor`: how an encoder's configuration files become that geometry.
- `sparse`: coverage as sparse rows, the form that everything here passes on.
- `coverage`: the exact share of each patch that boxes and masks cover.
- `union`: several regions of one phrase, each place counted once.
- `block`: the stage's work on one shard.
- `dense`: sparse rows as dense arrays, for training and evaluation.
"""
