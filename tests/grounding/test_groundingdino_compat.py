"""The mend for groundingdino-py under transformers 5, pinned by what plain BERT says."""

import pytest
import torch
from tiny_models import bert_config, bert_tokenizer, text_encoder

from pipeline.grounding import groundingdino_compat, prompts


@pytest.fixture(scope="module")
def bert():
    from transformers import BertModel

    torch.manual_seed(0)
    return BertModel(bert_config()).eval()


def test_a_phrase_of_a_prompt_is_encoded_as_if_it_stood_alone(bert):
    """In a prompt, a phrase sees itself and its full stop, and counts its positions from there."""
    from groundingdino.models.GroundingDINO.bertwarper import (
        generate_masks_with_special_tokens_and_transfer_map as masks_of,
    )

    tokenizer = bert_tokenizer()
    encoder = groundingdino_compat.TextEncoder(bert)
    made = [prompts.build(texts, tokenizer, 64)[0] for texts in (["the dog", "two red cats"], ["hat"])]
    tokens = tokenizer([prompt.text for prompt in made], padding=True, return_tensors="pt")
    allowed, positions, _ = masks_of(tokens, [101, 102, 1012, 1029], tokenizer)
    with torch.inference_mode():
        found = encoder(
            input_ids=tokens["input_ids"],
            attention_mask=allowed,
            token_type_ids=tokens["token_type_ids"],
            position_ids=positions,
        )["last_hidden_state"]
        for row, prompt in enumerate(made):
            for start, end in prompt.spans:
                alone = bert(input_ids=tokens["input_ids"][row : row + 1, start : end + 1])
                torch.testing.assert_close(found[row, start : end + 1], alone.last_hidden_state[0])


def test_a_mask_of_tokens_is_berts_own(bert):
    ids = torch.tensor([[101, 5, 6, 102], [101, 7, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.inference_mode():
        found = groundingdino_compat.TextEncoder(bert)(input_ids=ids, attention_mask=mask)
        expected = bert(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found["last_hidden_state"][mask.bool()], expected[mask.bool()])


def test_released_checkpoints_fit(bert):
    """Weights keep the names that they have in BERT, and so in checkpoints, below ``bert.``."""
    assert set(groundingdino_compat.TextEncoder(bert).state_dict()) == set(bert.state_dict())


def test_the_package_still_needs_the_mend_and_gets_it_in_both_places(tmp_path):
    """When this fails because the package's own wrapper works, the mend can go."""
    import importlib

    from groundingdino.models.GroundingDINO import bertwarper, groundingdino
    from transformers import BertModel

    own = importlib.util.module_from_spec(bertwarper.__spec__)
    bertwarper.__spec__.loader.exec_module(own)
    with pytest.raises(AttributeError, match="get_"):
        own.BertModelWarper(BertModel.from_pretrained(text_encoder(tmp_path)))
    groundingdino_compat.mend()
    assert bertwarper.BertModelWarper is groundingdino.BertModelWarper is groundingdino_compat.TextEncoder
