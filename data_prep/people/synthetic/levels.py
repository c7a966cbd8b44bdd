"""Where garments end: signed distances to their hems on a person's skin, positive within (metres)."""

import numpy as np
from jaxtyping import Float

from body_models.body import Body
from data_prep._clothes import bone_share, joints, ramp, skull
from data_prep._mesh_edit import Mesh
from data_prep.people.synthetic.outfit import Outfit

ARM = ("shoulder", "elbow", "wrist", "hand")

Level = Float[np.ndarray, "vertex"]


def scale_of(body: Body) -> float:
    """Size of a body beside one 1.7 m tall."""
    height = float(body.vertices[:, 1].max() - body.vertices[:, 1].min())
    return height / 1.7


def head_scale(points: Float[np.ndarray, "vertex 3"], body: Body) -> float:
    """Height of the head beside that of a mean one."""
    return float((points[:, 1].max() - joints(body)["head"][1]) / 0.158)


def top(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """The top without its opening in front."""
    joint, scale = joints(body), scale_of(body)
    x, y, z = mesh.points.T
    low = joint["pelvis"][1] + scale * outfit.top_hem
    torso = np.minimum(y - low, neckline(mesh, body, outfit.neckline))
    start, elbow, end = joint["left_shoulder"], joint["left_elbow"], joint["left_wrist"]
    upper = np.linalg.norm(elbow - start)
    reach = outfit.sleeve * (upper + np.linalg.norm(end - elbow))
    mirrored = np.stack([np.abs(x), y, z], axis=1)
    forearm = bone_share(mesh.values, body, "elbow", "wrist", "hand")
    along_upper = (mirrored - start) @ (elbow - start) / upper
    along_lower = upper + (mirrored - elbow) @ (end - elbow) / np.linalg.norm(end - elbow)
    along = (1 - forearm) * along_upper + forearm * along_lower
    arm = bone_share(mesh.values, body, *ARM)
    if outfit.sleeve < 0.05:
        return np.minimum(torso, 0.12 * (0.5 + outfit.sleeve * 3.0 - arm))
    return np.where(arm > 0.5, reach - along, torso)


def open_top(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """The top with its opening in front."""
    return np.minimum(top(mesh, body, outfit), front_edge(mesh, body, outfit))


def neckline(mesh: Mesh, body: Body, low: float) -> Level:
    """Depth below a neckline that lies so far under the neck's root in front."""
    neck = joints(body)["neck"]
    _, y, z = mesh.points.T
    front = 0.65 + 6.0 * max(low, 0.0)
    return (neck[1] - 0.005 - 0.5 * scale_of(body) * low - y) - front * (z - neck[2])


def front_edge(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """Distance from the front edges of an open top, positive on the cloth; it is narrowest below the breast."""
    joint, scale = joints(body), scale_of(body)
    x, y, z = mesh.points.T
    narrow = joint["pelvis"][1] + 0.45 * (joint["neck"][1] - joint["pelvis"][1])
    up, down = ramp(y, narrow, joint["neck"][1]), ramp(y, narrow, joint["pelvis"][1] - 0.08 * scale)
    half = scale * (0.012 + 0.2 * outfit.opening + 0.04 * up + outfit.opening * down)
    return np.maximum(np.abs(x) - half, joint["neck"][2] - z)


def inner_shirt(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """What shows of a shirt in the opening of a jacket; it is tucked into the trousers or skirt."""
    low = mesh.points[:, 1] - (joints(body)["pelvis"][1] + 0.05 * scale_of(body))
    level = np.minimum(low, neckline(mesh, body, outfit.neckline + 0.035))
    return np.where(bone_share(mesh.values, body, *ARM) > 0.3, -1.0, level)


def trousers(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """Height above the trousers' hems and below their waist."""
    joint, scale = joints(body), scale_of(body)
    y = mesh.points[:, 1]
    hip, ankle = joint["left_hip"][1], joint["left_ankle"][1]
    level = np.minimum(y - (hip + outfit.trouser_length * (ankle - hip)), joint["pelvis"][1] + 0.06 * scale - y)
    return np.where(bone_share(mesh.values, body, *ARM) > 0.3, -1.0, level)


def hair(mesh: Mesh, body: Body, outfit: Outfit) -> Level:
    """Height above the hairline: from the forehead over bays at the temples and the ears down to the nape."""
    x, y, z = mesh.points.T
    crown, _, ear_z = skull(mesh.points, body)
    scale = head_scale(mesh.points, body)
    plane = (y - (crown - scale * (0.098 + outfit.hairline))) - 0.6 * (z - ear_z)
    side = np.abs(np.arctan2(x, z - ear_z))
    bays = 0.011 * np.exp(-(((side - 0.62) / 0.2) ** 2)) - 0.016 * np.exp(-(((side - 1.2) / 0.16) ** 2))
    uneven = 0.0025 * np.sin(9 * side + 1) + 0.002 * np.sin(17 * np.arctan2(x, z - ear_z))
    return np.minimum(plane - scale * (bays + uneven), y - (crown - scale * 0.2) + scale * uneven)
