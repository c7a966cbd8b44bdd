"""Joints by part of the body, and facial actions by part of the face, in the order in which panels list them."""

from collections.abc import Sequence

_BODY = {
    "Torso": ("pelvis", "spine", "root", "hips"),
    "Head": ("neck", "head", "jaw", "eye"),
    "Left hand": (),
    "Left arm": (),
    "Right hand": (),
    "Right arm": (),
    "Left leg": (),
    "Right leg": (),
}
_ARM, _LEG = ("collar", "shoulder", "elbow", "wrist", "arm"), ("hip", "knee", "ankle", "foot", "leg", "toe")
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_FACE = {
    "Brows": ("brow",),
    "Eyes": ("eye",),
    "Nose and cheeks": ("nose", "cheek"),
    "Jaw": ("jaw",),
    "Mouth": ("mouth", "tongue"),
}
OTHER = "Other"


def body_parts(joints: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Joints by part, those of unknown names last."""
    return _grouped(joints, [_part_of(joint) for joint in joints], list(_BODY))


def face_parts(actions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Facial actions by part, those of unknown names last."""
    found = [next((part for part, starts in _FACE.items() if name.startswith(starts)), OTHER) for name in actions]
    return _grouped(actions, found, list(_FACE))


def _part_of(joint: str) -> str:
    plain = joint.lower()
    if any(word in plain for word in _BODY["Head"]):
        return "Head"
    side = "Left" if "left" in plain else "Right" if "right" in plain else ""
    if not side:
        return "Torso" if any(word in plain for word in _BODY["Torso"]) else OTHER
    if any(finger in plain for finger in _FINGERS):
        return f"{side} hand"
    if any(word in plain for word in _LEG):
        return f"{side} leg"
    return f"{side} arm" if any(word in plain for word in (*_ARM, "hand")) else OTHER


def _grouped(names: Sequence[str], parts: Sequence[str], order: list[str]) -> dict[str, tuple[str, ...]]:
    by_part = {
        part: tuple(name for name, found in zip(names, parts, strict=True) if found == part) for part in (*order, OTHER)
    }
    return {part: some for part, some in by_part.items() if some}


def spaced(name: str) -> str:
    """A name as people read it: left_elbow is left elbow, browInnerUp is brow inner up."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words.replace("_", " ").strip()
