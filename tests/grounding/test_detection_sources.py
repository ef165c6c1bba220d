"""Sources that run a detector: each against its own library, one image and one phrase at a time."""

import io
import pickle

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image
from torchvision.ops import box_convert, nms

from pipeline.errors import UserError
from pipeline.grounding import grounding_dino, groundingdino, owlv2, pretrained
from pipeline.grounding.base import ShardInputs
from pipeline.params import GroundingDinoParams, GroundingdinoParams, Owlv2Params
from pipeline.tables import schemas

SOURCES = ["groundingdino", "grounding-dino", "mm-grounding-dino", "owlv2"]
MODULES = {
    "groundingdino": groundingdino,
    "grounding-dino": grounding_dino,
    "mm-grounding-dino": grounding_dino,
    "owlv2": owlv2,
}
IOU = 0.55


def params(source, folder, **changes):
    thresholds = {"box_threshold": 0.3, "text_threshold": 0.2, "nms_iou": IOU, "batch_size": 3}
    if source == "groundingdino":
        values = {**tiny_models.groundingdino(folder), "image_size": (96, 160), **thresholds}
        return GroundingdinoParams(**{**values, **changes})
    if source == "owlv2":
        values = {"model": tiny_models.owlv2(folder), "prompt": "a {}", "nms_iou": IOU, "batch_size": 3}
        return Owlv2Params(**{**values, "threshold": 0.3, **changes})
    return GroundingDinoParams(model=tiny_models.grounding_dino(folder, source), **{**thresholds, **changes})


@pytest.fixture(scope="module", params=SOURCES)
def made(request, tmp_path_factory):
    """(source, params of a small random model)."""
    return request.param, params(request.param, tmp_path_factory.mktemp(request.param))


def annotator(made, **changes):
    source, settings = made
    return MODULES[source].annotator(settings.model_copy(update=changes))


def permissive(made):
    """Every box that a model gives, but for suppressed ones."""
    if made[0] == "owlv2":
        return annotator(made, threshold=0.0)
    return annotator(made, box_threshold=0.0, text_threshold=0.0)


def png(width, height, seed=0):
    # Smooth pictures: resizing noise would leave nothing that tells images apart.
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR).save(file, "png")
    return file.getvalue()


def shard(pictures, phrases, root):
    """``pictures``: image_id -> bytes; ``phrases``: (image_id, text)."""
    images = []
    for name, data in pictures.items():
        try:
            width, height = Image.open(io.BytesIO(data)).size
        except OSError:
            width, height = 1, 1
        row = {"image_id": name, "image": {"bytes": data, "path": None}, "sha256": "", "split": "train"}
        images.append({**row, "width": width, "height": height})
    rows = [
        {
            "phrase_id": f"{image_id}/c0/p{i}",
            "caption_id": f"{image_id}/c0",
            "image_id": image_id,
            "text": text,
            "start": 0,
            "end": len(text),
            "is_plural": False,
            "words": [],
        }
        for i, (image_id, text) in enumerate(phrases)
    ]
    return ShardInputs(
        images=schemas.from_rows("images", images),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", rows),
        objects=schemas.empty("objects"),
        root=root,
    )


SIZES = [(120, 90), (60, 130), (120, 90), (33, 33), (120, 90), (200, 40)]
PICTURES = {f"i{n}": png(*size, n) for n, size in enumerate(SIZES)}
TEXTS = ["a dog", "the Red ball", "two cats", "man", "a red hat."]
PHRASES = [(f"i{n}", text) for n in range(len(SIZES)) for text in TEXTS[: 1 + (n + 4) % 5]]


def by_char(tokenizer, texts):
    """A prompt and each phrase's tokens, found by the characters that upstream's own tools would use."""
    parts = [text.lower().replace(".", "") for text in texts]
    prompt = " . ".join(parts) + " ."
    tokens = tokenizer(prompt)
    found = []
    for i, part in enumerate(parts):
        first = len(" . ".join(parts[:i])) + (3 if i else 0)
        places = (c for c in range(first, first + len(part)) if prompt[c] != " ")
        found.append(sorted({tokens.char_to_token(c) for c in places}))
    return prompt, found


def reference(source, settings, picture, texts):
    """(best, mean, boxes) of each text by the library's own steps for one picture."""
    width, height = picture.size
    if source == "groundingdino":
        detector = groundingdino.load(settings)
        prompt, tokens = by_char(detector.model.tokenizer, texts)
        with torch.no_grad():
            out = detector.model(detector.transform(picture, None)[0][None], captions=[prompt])
        probability, boxes = out["pred_logits"][0].sigmoid(), out["pred_boxes"][0]
    elif source == "owlv2":
        from transformers import Owlv2ForObjectDetection, Owlv2Processor

        processor = Owlv2Processor.from_pretrained(settings.model)
        model = Owlv2ForObjectDetection.from_pretrained(settings.model).eval()
        prompts = [settings.prompt.replace("{}", text) for text in texts]
        inputs = processor(
            text=[prompts], images=picture, return_tensors="pt", max_length=16, truncation=True
        )
        with torch.no_grad():
            out = model(**inputs)
        probability, tokens = out.logits[0].sigmoid(), [[k] for k in range(len(texts))]
        boxes = out.pred_boxes[0] * max(width, height) / torch.tensor([width, height] * 2)
    else:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        processor = AutoProcessor.from_pretrained(settings.model)
        model = AutoModelForZeroShotObjectDetection.from_pretrained(settings.model).eval()
        prompt, tokens = by_char(processor.tokenizer, texts)
        with torch.no_grad():
            out = model(**processor(images=picture, text=prompt, return_tensors="pt"))
        probability, boxes = out.logits[0].sigmoid(), out.pred_boxes[0]
    pixels = box_convert(boxes, "cxcywh", "xyxy") * torch.tensor([width, height] * 2)
    pixels = pixels.clamp(torch.zeros(4), torch.tensor([width, height] * 2))
    return pixels, [(probability[:, t].max(1).values, probability[:, t].mean(1)) for t in tokens]


def test_regions_are_those_that_the_library_itself_gives_for_one_picture(made, tmp_path):
    source, settings = made
    out = annotator(made).ground(shard(PICTURES, PHRASES, tmp_path))
    regions = {}
    for region in out["regions"].to_pylist():
        regions.setdefault(region["phrase_id"], []).append(region)
    rejected = set(out["rejects"].column("key").to_pylist())
    total = 0
    box_threshold = settings.threshold if source == "owlv2" else settings.box_threshold
    text_threshold = 0.0 if source == "owlv2" else settings.text_threshold
    for image_id, data in PICTURES.items():
        picture = Image.open(io.BytesIO(data))
        numbers = [i for i, phrase in enumerate(PHRASES) if phrase[0] == image_id]
        boxes, scores = reference(source, settings, picture, [PHRASES[i][1] for i in numbers])
        for i, (best, mean) in zip(numbers, scores, strict=True):
            has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
            rows = torch.where((best > box_threshold) & (mean > text_threshold) & has_area)[0]
            rows = rows[nms(boxes[rows], best[rows], IOU)]
            phrase_id = f"{image_id}/c0/p{i}"
            found = regions.get(phrase_id, [])
            assert (f"phrase:{phrase_id}" in rejected) == (len(rows) == 0)
            np.testing.assert_allclose(
                np.array([region["box"] for region in found]).reshape(-1, 4), boxes[rows], atol=0.01
            )
            np.testing.assert_allclose([region["score"] for region in found], best[rows], atol=1e-4)
            assert [region["region_id"] for region in found] == [
                f"{phrase_id}/r{n}" for n in range(len(rows))
            ]
            total += len(rows)
    assert 10 < total < 8 * len(PHRASES)
    assert set(out["regions"].column("annotator").to_pylist()) == {
        source.removeprefix("mm-").replace("-", "_")
    }


def test_batches_equal_single_images(made, tmp_path):
    inputs = shard(PICTURES, PHRASES, tmp_path)
    one, three = (annotator(made, batch_size=n).ground(inputs)["regions"] for n in (1, 3))
    for column in ("region_id", "phrase_id", "image_id"):
        assert one.column(column).equals(three.column(column))
    for column in ("box", "score"):
        a, b = (np.array(table.column(column).to_pylist()) for table in (one, three))
        np.testing.assert_allclose(a, b, atol=1e-2)


def test_a_picture_twice_the_size_has_boxes_at_twice_the_place(made, tmp_path):
    """Nearest-neighbour doubling changes what the model sees a little, the place in the image exactly."""
    small = Image.open(io.BytesIO(png(160, 96, 3)))
    file = io.BytesIO()
    small.resize((320, 192), Image.Resampling.BILINEAR).save(file, "png")
    pictures = {"small": png(160, 96, 3), "big": file.getvalue()}
    rows = annotator(made).ground(shard(pictures, [("small", "a dog"), ("big", "a dog")], tmp_path))
    one, two = (
        [r["box"] for r in rows["regions"].to_pylist() if r["image_id"] == name][:1] for name in pictures
    )
    np.testing.assert_allclose(np.array(one) * 2, two, atol=8)


def test_one_text_of_an_image_is_looked_for_once_and_grounds_all_its_phrases(made, tmp_path):
    phrases = [("i0", "a dog"), ("i0", "man"), ("i0", "a dog")]
    regions = permissive(made).ground(shard(PICTURES, phrases, tmp_path))["regions"].to_pylist()
    found = [[(*r["box"], r["score"]) for r in regions if r["phrase_id"] == f"i0/c0/p{n}"] for n in range(3)]
    assert found[0] == found[2] != found[1]


def test_strips_and_single_pixels_give_boxes_inside_the_image(made, tmp_path):
    pictures = {"wide": png(600, 3), "tall": png(2, 500), "dot": png(1, 1)}
    phrases = [(name, text) for name in pictures for text in ("a dog", "hat")]
    out = permissive(made).ground(shard(pictures, phrases, tmp_path))
    regions = out["regions"].to_pylist()
    assert {r["phrase_id"] for r in regions} | {
        key.removeprefix("phrase:") for key in out["rejects"].column("key").to_pylist()
    } == {f"{name}/c0/p{i}" for i, (name, _) in enumerate(phrases)}
    sizes = {"wide": (600, 3), "tall": (2, 500), "dot": (1, 1)}
    for region in regions:
        (x0, y0, x1, y1), (width, height) = region["box"], sizes[region["image_id"]]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    assert regions


def test_a_long_list_of_phrases_is_split_and_none_is_lost(made, tmp_path):
    texts = [f"{word} {number}" for number in range(60) for word in ("the red ball", "two cats")]
    inputs = shard(PICTURES, [("i3", text) for text in texts], tmp_path)
    regions = permissive(made).ground(inputs)["regions"]
    assert len(set(regions.column("phrase_id").to_pylist())) == len(texts)
    with pretrained.LOCK:
        prompts = MODULES[made[0]].load(made[1]).prompts(texts)
    assert len(prompts) > 1
    assert [member for prompt in prompts for member in prompt.members] == list(range(len(texts)))


def test_every_phrase_is_grounded_or_rejected_with_its_reason(made, tmp_path):
    pictures = {**PICTURES, "broken": b"no picture"}
    phrases = [("broken", "a dog"), ("i0", "a dog"), ("i0", ""), ("gone", "a cat"), ("i1", "\u200b")]
    out = permissive(made).ground(shard(pictures, phrases, tmp_path))
    reasons = {row["key"]: row["reason"] for row in out["rejects"].to_pylist()}
    assert reasons["phrase:broken/c0/p0"] == "image_unreadable"
    assert reasons["phrase:gone/c0/p3"] == "image_unreadable"
    assert reasons["phrase:i0/c0/p2"] == "no_words"
    grounded = set(out["regions"].column("phrase_id").to_pylist())
    assert "i0/c0/p1" in grounded
    assert len(grounded) + len(reasons) == len(phrases)

    strict = {"threshold": 1.0} if made[0] == "owlv2" else {"box_threshold": 1.0}
    none = annotator(made, **strict).ground(shard(PICTURES, PHRASES, tmp_path))
    assert none["regions"].num_rows == 0
    assert set(none["rejects"].column("reason").to_pylist()) == {"below_threshold"}
    assert [row["key"] for row in none["rejects"].to_pylist()] == [
        f"phrase:{image_id}/c0/p{i}" for i, (image_id, _) in enumerate(PHRASES)
    ]


def test_the_same_inputs_give_the_same_tables_here_and_in_another_process(made, tmp_path):
    inputs = shard(PICTURES, PHRASES, tmp_path)
    first = annotator(made)
    second = pickle.loads(pickle.dumps(first))
    assert first.digest() == second.digest()
    assert first.ground(inputs)["regions"].equals(second.ground(inputs)["regions"])


def test_a_shard_without_phrases_gives_empty_tables(made, tmp_path):
    out = annotator(made).ground(shard(PICTURES, [], tmp_path))
    assert {name: table.num_rows for name, table in out.items()} == {"regions": 0, "rejects": 0}


def test_the_digest_follows_settings_and_weights(made):
    digest = annotator(made).digest()
    assert annotator(made, batch_size=9).digest() == digest
    assert annotator(made, nms_iou=0.1).digest() != digest


def test_the_digest_follows_a_models_files(tmp_path):
    settings = params("owlv2", tmp_path / "model")
    digest = owlv2.annotator(settings).digest()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert owlv2.annotator(settings).digest() != digest


def test_what_cannot_be_used_is_named(tmp_path):
    place = tiny_models.owlv2(tmp_path / "owl")
    thresholds = {"box_threshold": 0.3, "text_threshold": 0.2, "nms_iou": 0.5, "batch_size": 1}
    with pytest.raises(UserError, match=r"grounding_dino\.model: .*'owlv2'; .*grounding-dino"):
        grounding_dino.load(GroundingDinoParams(model=place, **thresholds))
    with pytest.raises(UserError, match=r"grounding_dino\.model: .*none' cannot be loaded"):
        grounding_dino.load(GroundingDinoParams(model=f"{tmp_path}/none", **thresholds))
    with pytest.raises(UserError, match=r"owlv2\.prompt: found 'a photo'"):
        owlv2.annotator(Owlv2Params(model=place, prompt="a photo", threshold=0.1, nms_iou=0.5, batch_size=1))
    files = {"config": "GroundingDINO_SwinT_OGC.py", "weights": f"{tmp_path}/none.pth", "text_encoder": None}
    settings = GroundingdinoParams(**files, image_size=(96, 160), **thresholds)
    with pytest.raises(UserError, match=r"groundingdino\.weights: there is no file .*none\.pth"):
        groundingdino.load(settings)
    with pytest.raises(UserError, match=r"config: there is no file 'other\.py'.*GroundingDINO_SwinT_OGC\.py"):
        groundingdino.load(settings.model_copy(update={"config": "other.py"}))


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    files = tiny_models.groundingdino(tmp_path)
    weights = torch.load(files["weights"], weights_only=True)
    del weights["model"]["module.feat_map.weight"]
    torch.save(weights, files["weights"])
    thresholds = {"box_threshold": 0.3, "text_threshold": 0.2, "nms_iou": 0.5, "batch_size": 1}
    with pytest.raises(UserError, match=r"lacks 1 of the model's weights, such as feat_map\.weight"):
        groundingdino.load(GroundingdinoParams(**files, image_size=(96, 160), **thresholds))


def test_half_precision_gives_the_same_boxes_and_scores(made, monkeypatch):
    """On a processor in place of a GPU: 16 bits take the same way through the code."""
    source, settings = made
    detector = MODULES[source].load(settings)
    images = detector.prepare([Image.open(io.BytesIO(PICTURES[name])) for name in ("i0", "i2")])
    prompts = [detector.prompts(TEXTS)[0]] * 2
    whole = detector.detect(images, prompts)
    monkeypatch.setattr(pretrained, "half_precision", lambda: torch.autocast("cpu", dtype=torch.float16))
    half = detector.detect(images, prompts)
    for one, other in zip(whole, half, strict=True):
        np.testing.assert_allclose(other.boxes, one.boxes, atol=0.02)
        np.testing.assert_allclose(other.best, one.best, atol=0.02)
        assert not np.array_equal(other.best, one.best), "the model ran in full precision"
