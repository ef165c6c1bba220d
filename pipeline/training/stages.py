"""The two stages of training of an arm, as functions of parameters, seed and folders.

Arms (``train.arms``) differ in the loss and in nothing else: weights before the first step, data, order and
steps are those of the seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import torch
from transformers import LlavaForConditionalGeneration, TrainerCallback

from pipeline import params as parameters
from pipeline.models import llava, word_table
from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ArmParams, Params
from pipeline.tables import dataset
from pipeline.training import checkpoint, processes, supervision, text
from pipeline.training import features as feature_tables
from pipeline.training.batches import Collator
from pipeline.training.features import ImageFeatures
from pipeline.training.run import Run
from pipeline.training.runtime import DATA, frozen_dtype, prepare, publish
from pipeline.training.supervision import PatchSupervision
from pipeline.training.trainer import train


def command(stage: Callable[[Params, Run], None]) -> None:
    """Run a stage for the arm that the command line names, on ``params.yaml``."""
    parser = argparse.ArgumentParser(description=stage.__doc__)
    parser.add_argument("--arm", required=True, help="name of an arm of train.arms")
    arm = parser.parse_args().arm
    params = parameters.load()
    params.arm(arm)  # there is such an arm
    processes.launch(params.compute, f"pipeline.training.{stage.__name__}", sys.argv[1:])
    prepare(params.seed, params.compute.threads)
    stage(params, Run(arm, params.seed))


def box_format(params: Params) -> BoxFormat:
    """How the profile's language model writes boxes."""
    if params.language_model.name == "trained":
        return BoxFormat("bins", params.language_model.trained.box_bins)
    return BoxFormat(params.language_model.pretrained.boxes)


def pretrain(params: Params, run: Run, callbacks: Sequence[TrainerCallback] = ()) -> None:
    """Train the projector on captions, and on patch words where the arm has them; the rest stays frozen.

    Without captions the language model's words are read first and the rest of it in the end, for the
    checkpoint, which is the same standard folder. A language model that was trained behind in half precision
    is read again in the end as well.
    """
    arm, settings = params.arm(run.arm), params.train.pretrain
    parts = DATA / "models/encoder", DATA / "models/language_model", params.train.projector, run.seed
    if arm.captions:
        model, processor = llava.assemble(*parts)
        tokenizer = processor.tokenizer
    else:
        model, tokenizer = word_table.assemble(*parts)
    chat = ChatFormat.of(tokenizer, IMAGE)
    captions = dataset.read(DATA / "captions", ["image_id", "text"])
    features = feature_tables.load(
        DATA / "features", "train", params.source.path, only=captions["image_id"].to_pylist()
    )
    patches = patch_words(arm, features, tokenizer) if arm.loss != "none" else None
    collator = Collator(
        features,
        text.caption_turns(captions, features.image_ids, tokenizer, chat),
        settings.turns,
        tokenizer.pad_token_id,
        run.seed,
        patches,
    )
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    whole = arm.captions and frozen_dtype() == torch.float32
    if not whole:
        llava.halve_frozen(model, frozen_dtype())
    before = encode(tokenizer, [chat.before_image])[0]
    read = [DATA / name for name in ("models/encoder", "models/language_model", "captions", "patch_words")]
    weights = train(
        model, collator, before, settings, arm if arm.loss != "none" else None,
        run.work("pretrain", params, read), run.curve("pretrain"), run.seed, list(callbacks),
        params.compute, params.train.report_to,
    )  # fmt: skip
    if not whole and processes.rank() == 0:
        projector = model.model.multi_modal_projector
        trained = projector.state_dict() if weights is None else projector_of(weights)
        model, processor = llava.assemble(*parts)
        model.model.multi_modal_projector.load_state_dict(trained)
        weights = None
    said = {"images": len(features), "captions": len(collator.turns.starts) - 1}
    if patches is not None:
        said["regions with words"] = int(patches.firsts[-1])
    publish(
        lambda folder: checkpoint.save(folder, model, processor, params, "pretrain", run, said, weights),
        run.pretrained,
    )


def projector_of(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The projector's weights among a model's, by the names that the projector has for them."""
    lead = "model.multi_modal_projector."
    return {name.removeprefix(lead): value for name, value in weights.items() if name.startswith(lead)}


def patch_words(arm: ArmParams, features: ImageFeatures, tokenizer) -> PatchSupervision:
    """The images' patch words, as the arm's loss takes them."""
    return supervision.load(
        DATA / "patch_words", features.image_ids, tokenizer, arm.words, features.patch_count
    )


def finetune(params: Params, run: Run, callbacks: Sequence[TrainerCallback] = ()) -> None:
    """Train projector and language model on conversations, from the arm's pre-trained projector."""
    model, processor = llava.load(run.pretrained)
    tokenizer = processor.tokenizer
    chat = ChatFormat.of(tokenizer, IMAGE)
    features = feature_tables.load(
        DATA / "features", "train", params.source.path, only=text.discussed(DATA, "train")
    )
    settings = params.train.finetune
    arm = params.arm(run.arm).in_finetuning()
    collator = Collator(
        features,
        text.conversation_turns(
            text.conversations(DATA, "train", box_format(params)), features.image_ids, tokenizer, chat
        ),
        settings.turns,
        tokenizer.pad_token_id,
        run.seed,
        patch_words(arm, features, tokenizer) if arm else None,
    )
    unfreeze(model)
    before = encode(tokenizer, [chat.before_image])[0]
    read = [run.pretrained, DATA / "conversations", *([DATA / "patch_words"] if arm else [])]
    weights = train(
        model, collator, before, settings, arm,
        run.work("finetune", params, read), run.curve("finetune"), run.seed, list(callbacks),
        params.compute, params.train.report_to,
    )  # fmt: skip
    said = {"images": len(features), "conversations": len(collator.turns.starts) - 1}
    publish(
        lambda folder: checkpoint.save(folder, model, processor, params, "finetune", run, said, weights),
        run.finetuned,
    )


def unfreeze(model: LlavaForConditionalGeneration) -> None:
    """What fine-tuning trains: everything but the vision encoder."""
    model.requires_grad_(True)
    model.model.vision_tower.requires_grad_(False)
