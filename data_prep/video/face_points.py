"""Which of the 478 points of MediaPipe's face mesh is what.

Right and left are the person's. The points 0 to 467 lie on the skin; 468 to 472 are the right iris (centre, then four
of its rim: towards the person's left, up, right, down), 473 to 477 the left one.
"""

FACE_POINTS = 478
SKIN_POINTS = 468
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Round the face from the top of the forehead, first down the left side."""
UPPER_LIP = (*(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308))
"""Outer then inner edge, each from the right corner of the mouth to the left one."""
LOWER_LIP = (*(146, 91, 181, 84, 17, 314, 405, 321, 375), *(95, 88, 178, 87, 14, 317, 402, 318, 324))
"""Outer then inner edge, right to left, without the corners."""
LIPS = UPPER_LIP + LOWER_LIP
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
"""Edge of the lids: outer corner, upper lid, inner corner, lower lid."""
RIGHT_BROW = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
"""Upper edge then lower edge, each from the temple inward."""
BROWS = RIGHT_BROW + LEFT_BROW
NOSE = (*(168, 6, 197, 195, 5, 4, 1, 19, 94, 2), *(98, 97, 326, 327, 64, 294, 48, 278, 115, 344, 220, 440, 45, 275))
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
IRISES = RIGHT_IRIS + LEFT_IRIS
LANDMARKS_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw, from the right ear
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose: bridge, then nostrils
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # lips, outer edge
    *(78, 82, 13, 312, 308, 317, 14, 87),  # lips, inner edge
)
"""The 68 points of iBUG's scheme, in its order."""
_MIDLINE = (
    *(0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
    *(94, 151, 152, 164, 168, 175, 195, 197, 199, 200),
)
_FIRST_LEFT = 248
"""The skin's points before this one lie on the midline or the right; the left ones follow in the right ones' order."""


def mirror_points() -> tuple[int, ...]:
    """For each of the 478 points the one across the face."""
    right = [point for point in range(_FIRST_LEFT) if point not in _MIDLINE]
    twin = list(range(FACE_POINTS))
    for one, other in [*zip(right, range(_FIRST_LEFT, SKIN_POINTS), strict=True), *_mirrored_irises()]:
        twin[one], twin[other] = other, one
    return tuple(twin)


def point_names() -> tuple[str, ...]:
    """The points' names, by MediaPipe's numbers."""
    return tuple(f"face_mesh_{point}" for point in range(FACE_POINTS))


def _mirrored_irises() -> list[tuple[int, int]]:
    """Centre with centre; of the rims the inner with the inner, as both are numbered by the picture's sides."""
    right, left = RIGHT_IRIS, LEFT_IRIS
    return [(right[0], left[0]), (right[1], left[3]), (right[2], left[2]), (right[3], left[1]), (right[4], left[4])]
