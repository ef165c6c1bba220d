"""What open_clip's own tower computes, for the converted ones to be held against."""


def hidden_of(visual, pixels):
    """Every hidden state, by hooks: what goes into the first block and what comes out of each."""
    found = []
    blocks = visual.transformer.resblocks
    hooks = [blocks[0].register_forward_pre_hook(lambda module, given: found.append(given[0]))]
    hooks += [block.register_forward_hook(lambda module, given, made: found.append(made)) for block in blocks]
    visual(pixels)
    for hook in hooks:
        hook.remove()
    return found
