"""Rigs and meshes in the words of other programs: USD, FBX through Blender, PyTorch3D."""
