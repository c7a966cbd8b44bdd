"""Other people's programs that judge the files we write: Khronos' validator, Blender, three.js in a browser."""

from tests.tools.blender import InBlender, in_blender
from tests.tools.browser import Player, three_player
from tests.tools.validator import validator_messages

__all__ = ["InBlender", "Player", "in_blender", "three_player", "validator_messages"]
