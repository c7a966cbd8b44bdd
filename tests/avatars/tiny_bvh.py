"""BVH files of a few frames, written by tests."""

from pathlib import Path

_LIMB = "JOINT {name} {{ OFFSET {offset} CHANNELS 3 Zrotation Xrotation Yrotation {inner} }}"


def write_bvh(path: Path, frames: int = 4, prefix: str = "") -> Path:
    """A person in centimetres with Mixamo's joint names, who walks a few steps to +Z; a prefix makes names unknown."""
    sides = {"Left": 1, "Right": -1}
    legs = [
        _chain([(f"{s}UpLeg", x * 10, -5), (f"{s}Leg", 0, -42), (f"{s}Foot", 0, -42)], prefix) for s, x in sides.items()
    ]
    arms = [
        _chain([(f"{s}Arm", x * 18, 0), (f"{s}ForeArm", x * 28, 0), (f"{s}Hand", x * 26, 0)], prefix)
        for s, x in sides.items()
    ]
    head = _chain([("Neck", 0, 5), ("Head", 0, 12)], prefix)
    spine = _LIMB.format(name=f"{prefix}Spine", offset="0 45 0", inner=" ".join([head, *arms]))
    root = f"ROOT {prefix}Hips {{ OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    joints = 1 + 1 + 2 + 3 * 4
    rows = [" ".join(["0", "92", str(12 * frame), *["0"] * (3 * joints)]) for frame in range(frames)]
    hierarchy = f"HIERARCHY {root} {spine} {' '.join(legs)} }}".replace("{", "\n{\n").replace("}", "\n}\n")
    hierarchy = hierarchy.replace("CHANNELS", "\nCHANNELS").replace("JOINT", "\nJOINT").replace("ROOT", "\nROOT")
    path.write_text(
        f"{hierarchy.replace('End', chr(10) + 'End')}\nMOTION\nFrames: {frames}\nFrame Time: 0.1\n"
        + "\n".join(rows)
        + "\n"
    )
    return path


def _chain(parts: list[tuple[str, float, float]], prefix: str) -> str:
    (name, x, y), *rest = parts
    inner = _chain(rest, prefix) if rest else f"End Site {{ OFFSET {x / 2:g} {y / 2:g} {8 if 'Foot' in name else 0} }}"
    return _LIMB.format(name=prefix + name, offset=f"{x:g} {y:g} 0", inner=inner)
