"""Scans of one clothed, moving person made from the free body: an input that needs no download."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import roma
import torch
import trimesh
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from trimesh.exchange.ply import export_ply

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from body_models.motion.amass_writer import write_amass
from body_models.motion.motion import Motion
from body_models.skinning import skin
from data_prep._actions import RANGE_OF_MOTION, UNSEEN_ACTIONS, perform
from data_prep._clothes import Part, dress, fold_pattern
from data_prep._dyes import dye
from data_prep._mesh_edit import vertex_normals
from data_prep.atomic import replacing

FRAME_RATE = 1.0
WRINKLE = 0.003
"""How far cloth moves at most when the joint beneath bends (metres)."""
_HOLE_SITES = (("left_shoulder", -0.11), ("right_shoulder", -0.11), ("pelvis", -0.12))
"""Places that scanners rarely see, metres above (+) a joint: armpits and crotch."""


@dataclass(frozen=True)
class SyntheticOptions:
    """What to make: how many scans of whom, and how imperfect."""

    seed: int = 0
    """Person, clothes, moves and defects follow from it."""
    train_frames: int = 12
    test_frames: int = 5
    noise_mm: float = 0.5
    """Standard deviation of the scanner's noise along the normals."""
    holes: bool = True
    """Leave out small patches at the armpits, the crotch and the soles."""


@dataclass(frozen=True)
class Person:
    """Somebody in clothes (metres, Y up, facing +Z at rest)."""

    betas: Float[Tensor, "shape"]
    body: Body
    """The naked body."""
    clothed: Body
    """The clothed surface with its own, smoother skinning weights; same joints."""
    part: Int[Tensor, "vertex"]
    """What covers each vertex, as `Part` counts: skin, shirt, trousers, shoes, hair."""
    wrinkles: Float[Tensor, "vertex bone 3"]
    """Displacement at rest that comes with each bone's full bend."""
    colours: UInt8[Tensor, "vertex 3"]
    """sRGB-coded."""

    def pose_vertices(
        self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"]
    ) -> Float[Tensor, "vertex 3"]:
        """The clothed surface in a pose: cloth wrinkles with the joints' bends, then follows the bones."""
        bend = 0.5 * (1.0 - torch.cos(pose.norm(dim=-1)))
        at_rest = self.clothed.vertices + torch.einsum("b,vbc->vc", bend, self.wrinkles)
        transforms = self.clothed.posed_from_rest(pose, translation)
        return skin(at_rest, self.clothed.skinning_weights, transforms)


@dataclass(frozen=True)
class SyntheticSequence:
    """Scans of one person and the truth behind them (metres, radians, Y up)."""

    meshes: list[tuple[Float[Tensor, "_ 3"], Int[Tensor, "_ 3"]]]
    """Vertices and faces of each scan."""
    colours: list[UInt8[Tensor, "_ 3"]]
    """sRGB-coded, a row a vertex."""
    motion: Motion
    betas: Float[Tensor, "shape"]

    @property
    def rotations(self) -> Float[Tensor, "frame bone 3"]:
        """Axis-angle pose of each scan."""
        return self.motion.rotations

    @property
    def translations(self) -> Float[Tensor, "frame 3"]:
        """Root translation of each scan."""
        return self.motion.translations


def make_person(model: BodyModel, options: SyntheticOptions | None = None) -> Person:
    """A random person of ordinary build in T-shirt, trousers and shoes; the seed decides on everything."""
    options = options or SyntheticOptions()
    random = np.random.default_rng(options.seed)
    count = min(16, len(model.shape_basis))
    spread = np.array([0.15] + [0.7] * (count - 1))  # the first direction is size, from child to giant
    betas = torch.from_numpy(spread * random.uniform(-1.5, 1.5, count)).float()
    body = model.body(betas)
    garments = dress(body, random)
    clothed = replace(
        body,
        vertices=torch.from_numpy(garments.points).float(),
        faces=torch.from_numpy(garments.faces),
        skinning_weights=torch.from_numpy(garments.weights).float(),
    )
    part = torch.from_numpy(garments.part)
    wrinkles = _wrinkles(clothed, part, garments.normals, random)
    return Person(betas, body, clothed, part, wrinkles, dye(clothed, part, options.seed))


def make_sequence(
    model: BodyModel, options: SyntheticOptions | None = None, split: str = "train", person: Person | None = None
) -> SyntheticSequence:
    """Scans of a person in motion: `train` walks through the range of motion, `test` does what training never showed.

    Raises InputError for another split or a number of frames below one.
    """
    options = options or SyntheticOptions()
    if split not in ("train", "test"):
        raise InputError(f"No split '{split}'; use train or test.")
    frames, action = (
        (options.train_frames, RANGE_OF_MOTION) if split == "train" else (options.test_frames, UNSEEN_ACTIONS)
    )
    if frames < 1:
        raise InputError(f"Cannot make {frames} {split} frames; ask for one or more.")
    person = person or make_person(model, options)
    random = np.random.default_rng([options.seed, 1 if split == "train" else 2])
    rotations = perform(action, frames, person.body, random)
    heading = torch.tensor([0.0, float(random.uniform(-np.pi, np.pi)), 0.0]).expand(frames, 3)
    rotations[:, 0] = roma.rotvec_composition([heading, rotations[:, 0]])
    meshes, colours, translations = [], [], []
    for pose in rotations:
        vertices = person.pose_vertices(pose, torch.zeros(3))
        sideways = random.uniform(-0.3, 0.3, 2)
        translation = torch.tensor([sideways[0], -float(vertices[:, 1].min()), sideways[1]], dtype=torch.float32)
        mesh, shown = _scan(person, vertices + translation, options, random)
        meshes.append(mesh)
        colours.append(shown)
        translations.append(translation)
    motion = Motion(split, model.skeleton, person.body.joints, rotations, torch.stack(translations), FRAME_RATE)
    return SyntheticSequence(meshes, colours, motion, person.betas)


def write_sequence(
    folder: str | Path, model: BodyModel, options: SyntheticOptions | None = None
) -> dict[str, SyntheticSequence]:
    """Write `train/` and `test/` into a folder: `scan_000.ply` and so on, and `poses.npz` with the true poses.

    Each file is complete or not there. Raises InputError when the folder cannot be written.
    """
    options, folder = options or SyntheticOptions(), Path(folder)
    person = make_person(model, options)
    sequences = {split: make_sequence(model, options, split, person) for split in ("train", "test")}
    for split, sequence in sequences.items():
        names = [f"scan_{index:03d}.ply" for index in range(len(sequence.meshes))]
        for name, (vertices, faces), colours in zip(names, sequence.meshes, sequence.colours, strict=True):
            mesh = trimesh.Trimesh(vertices.numpy(), faces.numpy(), vertex_colors=colours.numpy(), process=False)
            with replacing(folder / split / name) as path:
                path.write_bytes(export_ply(mesh))
        for stale in set((folder / split).glob("scan_[0-9]*.ply")) - {folder / split / name for name in names}:
            stale.unlink()  # of an earlier, longer sequence
        write_amass(folder / split / "poses.npz", sequence.motion, sequence.betas, model.name)
    return sequences


def _wrinkles(
    clothed: Body, part: Int[Tensor, "vertex"], normals: Float[np.ndarray, "vertex 3"], random: np.random.Generator
) -> Float[Tensor, "vertex bone 3"]:
    """Folds that grow with the bend of hips, knees, shoulders and elbows, near those joints only."""
    points = clothed.vertices.double().numpy()
    cloth = ((part == Part.SHIRT) | (part == Part.TROUSERS)).numpy()
    wrinkles = np.zeros((len(points), len(clothed.skeleton), 3))
    for bone, name in enumerate(clothed.skeleton.joint_names):
        if name.split("_")[-1] in ("hip", "knee", "shoulder", "elbow"):
            near = np.exp(-(((points - clothed.joints[bone].double().numpy()) / 0.12) ** 2).sum(1)) * cloth
            height = WRINKLE * near * fold_pattern(points, random, wavelength=0.07)
            wrinkles[:, bone] = height[:, None] * normals
    return torch.from_numpy(wrinkles).float()


def _scan(
    person: Person, vertices: Float[Tensor, "vertex 3"], options: SyntheticOptions, random: np.random.Generator
) -> tuple[tuple[Float[Tensor, "kept 3"], Int[Tensor, "kept_face 3"]], UInt8[Tensor, "kept 3"]]:
    """What a scanner would make of a surface: noise along the normals, nothing where it cannot look; with colours."""
    faces = person.clothed.faces.numpy()
    points = vertices.double().numpy()
    noise = options.noise_mm / 1000 * random.normal(size=(len(points), 1))
    points = points + noise * vertex_normals(points, faces)
    if options.holes:
        faces = faces[~_unseen(person, random)[faces].any(1)]
    kept, faces = np.unique(faces, return_inverse=True)
    mesh = torch.from_numpy(points[kept]).float(), torch.from_numpy(faces.reshape(-1, 3))
    return mesh, person.colours[torch.from_numpy(kept)]


def _unseen(person: Person, random: np.random.Generator) -> np.ndarray:
    """Vertices in random small balls at the places that scanners rarely see."""
    points = person.clothed.vertices.double().numpy()
    joints = person.clothed.joints.double().numpy()
    sites = [joints[person.clothed.skeleton.index(name)] + (0.0, up, 0.0) for name, up in _HOLE_SITES]
    for name in ("left_foot", "right_foot"):
        sites.append(joints[person.clothed.skeleton.index(name)] * (1.0, 0.0, 0.8) + (0.0, points[:, 1].min(), 0.0))
    hidden = np.zeros(len(points), dtype=bool)
    for site in sites:
        distance = np.linalg.norm(points - site, axis=1)
        centre = points[distance.argmin()] + random.normal(size=3) * 0.008
        hidden |= np.linalg.norm(points - centre, axis=1) < random.uniform(0.01, 0.02)
    return hidden
