"""Tell what a file really is by its first bytes, for messages about files of another kind than their name says."""

_KINDS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"glTF", "a GLB file"),
    (b"HIERARCHY", "a BVH file"),
)
_WEB_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")


def foreign_kind(start: bytes) -> str | None:
    """What a file that begins so is, as in "a PNG picture"; None when the bytes do not tell."""
    if is_web_page(start):
        return "a web page"
    return next((kind for magic, kind in _KINDS if start.startswith(magic)), None)


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins so is what a browser shows, such as a login page saved in a file's place."""
    return start[:512].lstrip().lower().startswith(_WEB_PAGES)
