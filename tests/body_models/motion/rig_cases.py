"""Bodies without a surface on skeletons of several families."""

import torch
from jaxtyping import Float
from torch import Tensor

from body_models import load_anny
from body_models.body import Body
from body_models.motion.rest_joints import smpl_rest_joints
from body_models.motion.rigs import match_joints
from body_models.names import SMPL_SKELETON
from body_models.skeleton import Skeleton


def bare_body(skeleton: Skeleton, joints: Float[Tensor, "bone 3"]) -> Body:
    """A body without a surface."""
    bones = len(skeleton)
    return Body(
        skeleton=skeleton,
        vertices=torch.zeros(0, 3),
        faces=torch.zeros(0, 3, dtype=torch.long),
        skinning_weights=torch.zeros(0, bones),
        joints=joints,
        canonical_pose=torch.zeros(bones, 3),
    )


def t_pose_body(skeleton: Skeleton) -> Body:
    """A T-posed body on one of SMPL's skeletons; fingers spread out ahead of the wrist, the face about the head."""
    known = dict(zip(SMPL_SKELETON.joint_names, smpl_rest_joints().float(), strict=True))
    places: list[Tensor] = []
    for name, parent in zip(skeleton.joint_names, skeleton.parents, strict=True):
        side = -1.0 if name.startswith("right") else 1.0
        fan = {"index": 0.02, "pinky": -0.03, "ring": -0.02, "thumb": 0.04}.get(name.split("_")[-1][:-1], 0.0)
        step = torch.tensor([side * 0.03, 0.0, fan]) if name[-1:].isdigit() else torch.tensor([0.02 * side, 0.03, 0.05])
        places.append(known[name] if name in known else places[parent] + step)
    return bare_body(skeleton, torch.stack(places))


def full_body() -> Body:
    """The free body's joints under MakeHuman's names, with a second bone in each limb segment and more spine."""
    anny = load_anny().body()
    at = {name: anny.joints[bone] for name, bone in match_joints(anny.skeleton.joint_names).items()}
    bones: dict[str, tuple[str, Tensor]] = {"root": ("", at["pelvis"])}

    def add(name: str, parent: str, start: str, end: str, share: float = 0.0) -> None:
        bones[name] = (parent, torch.lerp(at[start], at[end], share))

    add("spine05", "root", "pelvis", "spine1", 0.3)
    add("spine04", "spine05", "pelvis", "spine1", 0.6)
    for name, parent, joint in (("spine03", "spine04", "spine1"), ("spine02", "spine03", "spine2")):
        add(name, parent, joint, joint)
    add("spine01", "spine02", "spine3", "spine3")
    add("neck01", "spine01", "neck", "neck")
    add("neck02", "neck01", "neck", "head", 0.5)
    add("head", "neck02", "head", "head")
    for side in ("left", "right"):
        mark = side[0].upper()
        for limb, first, last, parent in (
            ("upperleg", "hip", "knee", "root"),
            ("lowerleg", "knee", "ankle", f"upperleg02.{mark}"),
            ("upperarm", "shoulder", "elbow", f"clavicle.{mark}"),
            ("lowerarm", "elbow", "wrist", f"upperarm02.{mark}"),
        ):
            if limb == "upperarm":
                add(parent, "spine01", f"{side}_collar", f"{side}_collar")
            add(f"{limb}01.{mark}", parent, f"{side}_{first}", f"{side}_{last}")
            add(f"{limb}02.{mark}", f"{limb}01.{mark}", f"{side}_{first}", f"{side}_{last}", 0.5)
        for name, parent, joint in (
            (f"foot.{mark}", f"lowerleg02.{mark}", "ankle"),
            (f"toe1-1.{mark}", f"foot.{mark}", "foot"),
            (f"toe2-1.{mark}", f"foot.{mark}", "foot"),
            (f"wrist.{mark}", f"lowerarm02.{mark}", "wrist"),
            (f"finger3-1.{mark}", f"wrist.{mark}", "hand"),
        ):
            add(name, parent, f"{side}_{joint}", f"{side}_{joint}")
    names = tuple(bones)
    parents = tuple(names.index(parent) if parent else -1 for parent, _ in bones.values())
    return bare_body(Skeleton(names, parents), torch.stack([joint for _, joint in bones.values()]))
