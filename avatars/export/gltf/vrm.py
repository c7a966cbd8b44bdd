"""The part of a GLB file that makes it a VRM avatar: humanoid bones, rights of use, expressions (VRM 1.0)."""

from collections.abc import Mapping, Sequence

from avatars.export.gltf.glb import SYNTHETIC, Glb
from avatars.export.gltf.names import humanoid_bones
from avatars.export.rig import Rig
from body_models.motion.faces import match_expressions

EXTENSION = "VRMC_vrm"
_LICENCE = "https://vrm.dev/licenses/1.0/"
_BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
_SMILE = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0}
PRESETS: dict[str, dict[str, float]] = {
    "happy": _SMILE | {"cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    "angry": {
        **{"browDownLeft": 1.0, "browDownRight": 1.0, "noseSneerLeft": 0.4, "noseSneerRight": 0.4},
        **{"mouthFrownLeft": 0.4, "mouthFrownRight": 0.4},
    },
    "sad": {"browInnerUp": 0.9, "mouthFrownLeft": 0.8, "mouthFrownRight": 0.8, "mouthShrugLower": 0.3},
    "relaxed": {"eyeBlinkLeft": 0.3, "eyeBlinkRight": 0.3, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4},
    "surprised": {
        **{"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8},
        **{"eyeWideLeft": 0.8, "eyeWideRight": 0.8, "jawOpen": 0.4},
    },
    "aa": {"jawOpen": 0.7},
    "ih": {"jawOpen": 0.2, "mouthStretchLeft": 0.5, "mouthStretchRight": 0.5},
    "ou": {"jawOpen": 0.15, "mouthPucker": 0.8},
    "ee": {"jawOpen": 0.15, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "mouthStretchLeft": 0.4}
    | {"mouthStretchRight": 0.4},
    "oh": {"jawOpen": 0.4, "mouthFunnel": 0.8},
    "blink": _BLINK,
    "blinkLeft": {"eyeBlinkLeft": 1.0},
    "blinkRight": {"eyeBlinkRight": 1.0},
    "lookUp": {"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0},
    "lookDown": {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 1.0},
    "lookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "lookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
}
"""VRM's expressions in facial actions of ARKit; looking left or right is the avatar's own left or right."""


def add_vrm(glb: Glb, rig: Rig, bones: Sequence[int], surface: int, notes: Sequence[str]) -> None:
    """Say which nodes are VRM's humanoid bones, what may be done with the avatar, and how its face moves.

    Only its own user may perform it until whoever hands it on says otherwise: the strictest words that VRM has.
    Raises InputError for a rig without the bones that VRM requires.
    """
    humanoid = {name: {"node": bones[bone]} for name, bone in humanoid_bones(rig.skeleton).items()}
    described = {"specVersion": "1.0", "meta": _meta(rig.name, notes), "humanoid": {"humanBones": humanoid}}
    expressions = _expressions(rig, surface)
    glb.gltf.extensions[EXTENSION] = described | ({"expressions": expressions} if expressions else {})
    glb.extend(EXTENSION)


def _meta(name: str, notes: Sequence[str]) -> dict[str, object]:
    said = {
        "name": name,
        "version": "1",
        "authors": ["made with animatable-avatars"],
        "copyrightInformation": SYNTHETIC,
        "licenseUrl": _LICENCE,
        "avatarPermission": "onlyAuthor",
        "allowExcessivelyViolentUsage": False,
        "allowExcessivelySexualUsage": False,
        "commercialUsage": "personalNonProfit",
        "allowPoliticalOrReligiousUsage": False,
        "allowAntisocialOrHateUsage": False,
        "creditNotation": "required",
        "allowRedistribution": False,
        "modification": "prohibited",
    }
    return said | ({"references": list(notes)} if notes else {})


def _expressions(rig: Rig, surface: int) -> dict[str, dict[str, object]]:
    """VRM's own expressions that the morph targets can show whole, and each facial action by itself."""
    names = rig.morph_names[: rig.expressions]
    bound = {name: _bound(actions, names, surface) for name, actions in PRESETS.items()}
    preset: dict[str, object] = {name: binds for name, binds in bound.items() if binds}
    custom: dict[str, object] = {
        name: _bind({target: 1.0}, surface) for target, name in enumerate(names) if name not in PRESETS
    }
    return {group: made for group, made in (("preset", preset), ("custom", custom)) if made}


def _bound(actions: Mapping[str, float], names: Sequence[str], surface: int) -> dict[str, object]:
    """Morph targets for facial actions, whatever their spelling; nothing where one is missing."""
    matrix = match_expressions(tuple(actions), names)
    if not matrix.any(1).all():
        return {}
    weights = matrix.new_tensor(list(actions.values())) @ matrix
    return _bind({target: float(weight) for target, weight in enumerate(weights) if weight > 0}, surface)


def _bind(weights: Mapping[int, float], surface: int) -> dict[str, object]:
    binds = [
        {"node": surface, "index": target, "weight": round(min(weight, 1.0), 4)} for target, weight in weights.items()
    ]
    return {"morphTargetBinds": binds}
