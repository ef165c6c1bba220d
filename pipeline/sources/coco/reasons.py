"""Why a row of a COCO folder is rejected: the codes, and the error that carries one."""

REASONS = {
    "image_missing": "the picture's file is not there",
    "image_corrupt": "the picture's file cannot be decoded",
    "size_mismatch": "the picture as displayed has another size than the JSON file says",
    "image_without_captions": "the image has no usable caption",
    "image_rejected": "the image that it belongs to was rejected",
    "duplicate_image_id": "the image id is taken by another image",
    "duplicate_annotation_id": "the annotation id is taken by another annotation",
    "annotation_without_image": "the image that it belongs to is not listed",
    "caption_empty": "the caption has no text",
    "unknown_category": "the category is not listed",
    "box_invalid": "the box is not four finite numbers with a positive width and height",
    "box_outside": "nothing of the box is inside the image",
    "mask_invalid": "the segmentation cannot be read, does not fit the image or has no pixel",
}


class UnusableRowError(ValueError):
    """A row that cannot be used: the reject's code and what was found."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or REASONS[reason])
        self.reason = reason
