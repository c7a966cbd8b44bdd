"""Pictures of a room out of focus, to stand behind a synthetic person."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter


def blurred_room(width: int, height: int, random: np.random.Generator) -> Float[np.ndarray, "height width 3"]:
    """Linear colours of a wall with furniture, pictures and perhaps a bright window, blurred."""
    side = max(width, height)
    y, x = np.mgrid[0:height, 0:width] / side
    wall = random.uniform(0.12, 0.55) * random.uniform(0.85, 1.1, 3)
    slope = random.uniform(-0.5, 0.5, 2)
    room = wall * (1 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5))[..., None]
    floor = random.uniform(0.65, 1.0)
    room[y > floor] *= random.uniform(0.3, 0.8)
    for _ in range(int(random.integers(4, 14))):
        left, top = random.uniform(-0.1, 1.0, 2)
        wide, tall = random.uniform(0.04, 0.3, 2)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + tall)
        room[inside] = random.uniform(0.02, 0.5) * random.uniform(0.5, 1.4, 3)
    if random.random() < 0.4:
        left, top = random.uniform(-0.1, 0.8), random.uniform(-0.1, 0.4)
        room[(x > left) & (x < left + 0.25) & (y > top) & (y < top + 0.35)] = random.uniform(0.7, 1.0)
    blur = side * random.uniform(0.012, 0.03)
    return np.clip(np.stack([gaussian_filter(room[..., c], blur) for c in range(3)], -1), 0.0, 1.0)
