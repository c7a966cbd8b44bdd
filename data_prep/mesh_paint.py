"""The colours of meshes that trimesh reads: at vertices or faces, or by an OBJ's materials and their pictures."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from trimesh.visual import ColorVisuals, TextureVisuals

from body_models.errors import InputError
from data_prep.paint import Paint, PaintedPart
from data_prep.textures import LINEAR_OF_BYTE, Texture, read_texture

WHITE = np.ones(4)


@dataclass(frozen=True)
class _Material:
    diffuse: tuple[float, float, float]
    picture: str | None
    """As the material file names it."""


def painted_surfaces(path: Path, surfaces: list[trimesh.Trimesh], notes: list[str]) -> list[PaintedPart]:
    """The parts of a mesh file with their colours, sRGB-coded in the file as is usual outside glTF.

    `surfaces` are what was read without materials; `notes` receive what is missing. Nothing here raises for colours
    that cannot be had: the parts come back without paint.
    """
    materials = _materials(path, notes) if path.suffix.lower() == ".obj" else {}
    if materials:
        scene = trimesh.load_scene(path, process=False, skip_materials=False)
        surfaces = [surface for surface in scene.dump() if isinstance(surface, trimesh.Trimesh)]
    textures: dict[str, Texture | None] = {}
    return [_part(path, surface, materials, textures, notes) for surface in surfaces]


def _part(
    path: Path,
    surface: trimesh.Trimesh,
    materials: dict[str, _Material],
    textures: dict[str, Texture | None],
    notes: list[str],
) -> PaintedPart:
    vertices, faces = np.asarray(surface.vertices, np.float64), np.asarray(surface.faces, np.int64)
    visual, paint = surface.visual, None
    if isinstance(visual, ColorVisuals) and visual.kind == "vertex":
        paint = Paint(faces, WHITE, _linear(visual.vertex_colors))
    elif isinstance(visual, ColorVisuals) and visual.kind == "face":
        paint = Paint(np.arange(faces.size).reshape(-1, 3), WHITE, _linear(visual.face_colors).repeat(3, axis=0))
    elif isinstance(visual, TextureVisuals):
        material = materials.get(str(getattr(visual.material, "name", "")))
        if material is not None:
            paint = _material_paint(path, surface, material, textures, notes)
        elif visual.uv is not None and getattr(visual.material, "image", None) is not None:  # a PLY's own picture
            image = visual.material.image
            uv = np.asarray(visual.uv, np.float64) * (1, -1) + (0, 1)
            paint = Paint(faces, WHITE, uv=uv, texture=Texture(np.asarray(image.convert("RGBA"), np.uint8)))
    return PaintedPart(vertices, faces, paint)


def _linear(colours: np.ndarray) -> Float[np.ndarray, "row 4"]:
    """Colours without their opacity, which many writers leave at zero."""
    plain = np.asarray(colours, np.uint8)
    return np.concatenate([LINEAR_OF_BYTE[plain[:, :3]], np.ones((len(plain), 1), np.float32)], axis=1)


def _material_paint(
    path: Path,
    surface: trimesh.Trimesh,
    material: _Material,
    textures: dict[str, Texture | None],
    notes: list[str],
) -> Paint | None:
    faces = np.asarray(surface.faces, np.int64)
    uv = getattr(surface.visual, "uv", None)
    if material.picture is None or uv is None or len(uv) != len(surface.vertices):
        coded = np.rint(255 * np.clip(np.nan_to_num(material.diffuse), 0, 1)).astype(np.uint8)
        return Paint(faces, np.append(LINEAR_OF_BYTE[coded].astype(np.float64), 1.0))
    if material.picture not in textures:
        textures[material.picture] = _picture(path, material.picture, notes)
    texture = textures[material.picture]
    if texture is None:
        return None
    return Paint(faces, WHITE, uv=np.asarray(uv, np.float64) * (1, -1) + (0, 1), texture=texture)


def _picture(path: Path, named: str, notes: list[str]) -> Texture | None:
    found = _beside(path, named)
    if found is None:
        notes.append(f"its texture '{Path(named).name}' is not beside it, so those parts have no colours")
        return None
    try:
        return read_texture(found, found.name)
    except InputError as error:
        notes.append(f"{error}; those parts have no colours")
        return None


def _beside(path: Path, named: str) -> Path | None:
    """A file that another one names, by its path or, where that is of another computer, by its name alone."""
    plain = named.replace("\\", "/").strip("\"' ")
    candidates = [path.parent / plain, path.parent / Path(plain).name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    wanted = Path(plain).name.lower()
    return next((file for file in path.parent.iterdir() if file.name.lower() == wanted and file.is_file()), None)


def _materials(path: Path, notes: list[str]) -> dict[str, _Material]:
    """The materials that an OBJ names, by name; none, with a note, when their file is not there."""
    with path.open(encoding="utf-8", errors="replace") as file:
        named = [line.split(maxsplit=1)[1].strip() for line in file if re.match(r"\s*mtllib\s+\S", line)]
    materials: dict[str, _Material] = {}
    for name in named:
        found = _beside(path, name)
        if found is None:
            notes.append(f"its materials '{Path(name).name}' are not beside it, so it has no textures")
            continue
        materials |= parse_materials(found.read_text(encoding="utf-8", errors="replace"))
    return materials


def parse_materials(text: str) -> dict[str, _Material]:
    """Diffuse colour and picture of each material of an MTL file."""
    found: dict[str, _Material] = {}
    name = ""
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        if key.lower() == "newmtl":
            name = " ".join(rest.split())
            found[name] = _Material((0.8, 0.8, 0.8), None)
        elif key.lower() == "kd" and name:
            numbers = _numbers(rest.split()[:3])
            if len(numbers) == 3:
                found[name] = _Material((numbers[0], numbers[1], numbers[2]), found[name].picture)
        elif key.lower() == "map_kd" and name:
            found[name] = _Material(found[name].diffuse, _without_options(rest))
    return found


def _numbers(words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        return []


def _without_options(text: str) -> str:
    """The file of a map statement, behind options such as `-s 1 1 1` or `-clamp on`."""
    plain = text.strip()
    while match := re.match(r"-[a-zA-Z]+(\s+(on|off|[-+.\deE]+|[rgbmlz](?=\s)))*\s+", plain):
        plain = plain[match.end() :]
    return plain
