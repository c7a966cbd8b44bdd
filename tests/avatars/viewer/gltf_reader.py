"""A reader of small GLB files that poses what it reads as browsers do, written anew for tests."""

import json
import struct
from dataclasses import dataclass

import numpy as np
import roma
import torch

_DTYPES: dict[int, str] = {
    5120: "int8",
    5121: "uint8",
    5122: "int16",
    5123: "uint16",
    5125: "uint32",
    5126: "float32",
}
_WHOLE = {"int8": 127, "uint8": 255, "int16": 32767, "uint16": 65535}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Glb:
    document: dict
    blob: bytes

    @staticmethod
    def of(data: bytes) -> "Glb":
        size = struct.unpack("<I", data[12:16])[0]
        return Glb(json.loads(data[20 : 20 + size]), data[28 + size :])

    @property
    def primitive(self) -> dict:
        return self.document["meshes"][0]["primitives"][0]

    def array(self, index: int) -> np.ndarray:
        """An accessor's numbers, a row each."""
        told = self.document["accessors"][index]
        dtype, width, count = np.dtype(_DTYPES[told["componentType"]]), _WIDTHS[told["type"]], told["count"]
        values = np.zeros((count, width), dtype)
        if "bufferView" in told:
            values = self._rows(told["bufferView"], dtype, width, count)
        if "sparse" in told:
            sparse = told["sparse"]
            kind = np.dtype(_DTYPES[sparse["indices"]["componentType"]])
            rows = self._rows(sparse["indices"]["bufferView"], kind, 1, sparse["count"])[:, 0]
            values[rows] = self._rows(sparse["values"]["bufferView"], dtype, width, sparse["count"])
        return values / _WHOLE[dtype.name] if told.get("normalized") else values.astype(float)

    def _rows(self, view: int, dtype: np.dtype, width: int, count: int) -> np.ndarray:
        told = self.document["bufferViews"][view]
        assert told["byteOffset"] % 4 == 0
        stride = told.get("byteStride", dtype.itemsize * width)
        assert "byteStride" not in told or stride % 4 == 0
        lines = np.frombuffer(self.blob, np.uint8, stride * count, told["byteOffset"]).reshape(count, stride)
        return lines[:, : dtype.itemsize * width].copy().view(dtype).reshape(count, width)

    def times(self) -> np.ndarray:
        """Of the keys of the only clip."""
        return self.array(self.document["animations"][0]["samplers"][0]["input"])[:, 0]

    def posed(self, seconds: float) -> np.ndarray:
        """The vertices where they are at a time of the clip (metres)."""
        nodes, morphs = self._moved(seconds)
        vertices = self.array(self.primitive["attributes"]["POSITION"])
        for target, weight in zip(self.primitive.get("targets", ()), morphs, strict=True):
            vertices = vertices + weight * self.array(target["POSITION"])
        skin = self.document["skins"][0]
        binds = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        joints = np.stack([nodes[joint] for joint in skin["joints"]]) @ binds
        bones = self.array(self.primitive["attributes"]["JOINTS_0"]).astype(int)
        shares = self.array(self.primitive["attributes"]["WEIGHTS_0"])
        assert np.allclose(shares.sum(1), 1)
        own = (shares[..., None, None] * joints[bones]).sum(1)
        return (own[:, :3, :3] @ vertices[..., None])[..., 0] + own[:, :3, 3]

    def _moved(self, seconds: float) -> tuple[list[np.ndarray], np.ndarray]:
        """All nodes in the world, and the weights of morph targets."""
        nodes = [dict(node) for node in self.document["nodes"]]
        morphs = np.array(self.document["meshes"][0].get("weights", []))
        clip = self.document["animations"][0]
        for channel in clip["channels"]:
            sampler, target = clip["samplers"][channel["sampler"]], channel["target"]
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            values = values.reshape(len(times), -1)
            last = int(np.clip(np.searchsorted(times, seconds), 1, len(times) - 1))
            share = float(np.clip((seconds - times[last - 1]) / (times[last] - times[last - 1]), 0, 1))
            now = (1 - share) * values[last - 1] + share * values[last]
            if target["path"] == "rotation":
                pair = torch.tensor(values[last - 1 : last + 1])
                now = roma.utils.unitquat_slerp(pair[:1], pair[1:], torch.tensor([share]), shortest_arc=True)[0, 0]
            if target["path"] == "weights":
                morphs = now
            else:
                nodes[target["node"]][target["path"]] = now
        return self._worlds(nodes), morphs

    def _worlds(self, nodes: list[dict]) -> list[np.ndarray]:
        worlds = [np.eye(4) for _ in nodes]
        waiting = [(node, np.eye(4)) for node in self.document["scenes"][0]["nodes"]]
        while waiting:
            node, above = waiting.pop()
            own = np.eye(4)
            turn = torch.as_tensor(nodes[node].get("rotation", [0.0, 0.0, 0.0, 1.0])).double()
            own[:3, :3] = roma.unitquat_to_rotmat(turn / turn.norm()).numpy() * nodes[node].get("scale", [1.0])[0]
            own[:3, 3] = nodes[node].get("translation", [0.0] * 3)
            worlds[node] = above @ own
            waiting += [(child, worlds[node]) for child in nodes[node].get("children", ())]
        return worlds
