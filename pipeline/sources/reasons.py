"""Why a row of a dataset is rejected at ingest: the codes of all formats, and the error that carries one."""

REASONS = {
    "image_missing": "the picture's file is not there",
    "image_corrupt": "the picture's file cannot be decoded",
    "size_mismatch": "the picture as displayed has another size than the annotation file says",
    "image_without_captions": "the image has no usable caption",
    "image_rejected": "the image that it belongs to was rejected",
    "duplicate_image_id": "the image id is taken by another image",
    "duplicate_annotation_id": "the annotation id is taken by another annotation",
    "annotation_without_image": "the image that it belongs to is not listed",
    "annotation_missing": "the annotation that it refers to is not listed",
    "caption_empty": "the caption has no text",
    "span_invalid": "the characters that the object is linked to are not in the caption",
    "label_empty": "the object has no label",
    "unknown_category": "the category is not listed",
    "box_invalid": "the box is not four finite numbers with a positive width and height",
    "box_outside": "nothing of the box is inside the image",
    "mask_invalid": "the segmentation cannot be read, does not fit the image or has no pixel",
    "conversation_invalid": "the turns are not texts of user and assistant in turn",
    "conversation_without_image": "the conversation is about no image",
    "row_unreadable": "the row is not what the format says it should be",
    "file_cut_short": "from some place on the file cannot be read",
}


class UnusableRowError(ValueError):
    """A row that cannot be used: the reject's code and what was found."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or REASONS[reason])
        self.reason = reason
