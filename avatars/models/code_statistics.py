"""What a trained prior knows of its codes: their spread and the kinds they come in, to draw new ones from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.code_mixture import fit_mixture, shrunk_covariance
from body_models.errors import InputError

KINDS = ("mixture", "gaussian", "diagonal")


@dataclass(frozen=True)
class CodeStatistics:
    """Distribution of the codes of a prior's training subjects (also of their body shape parameters)."""

    mean: Float[Tensor, "code"]
    deviation: Float[Tensor, "code"]
    """Standard deviation of each number."""
    covariance: Float[Tensor, "code code"]
    weights: Float[Tensor, "component"]
    """How many of the subjects each kind holds (sums to 1)."""
    centres: Float[Tensor, "component code"]
    covariances: Float[Tensor, "component code code"]
    """Spread about each kind's centre."""

    @staticmethod
    def of(codes: Float[Tensor, "subject code"], components: int = 8) -> "CodeStatistics":
        """Learn from codes: their mean, deviation, covariance, and a mixture of at most so many Gaussians.

        The same codes always give the same statistics. Raises InputError for fewer than two codes and for values that
        are not finite.
        """
        if len(codes) < 2 or codes.shape[1] < 1:
            raise InputError(f"Statistics need the codes of two or more subjects, not a table of {tuple(codes.shape)}.")
        if not bool(codes.isfinite().all()):
            raise InputError("Codes hold values that are not finite: the training is damaged. Train the prior again.")
        if components < 1:
            raise InputError(f"A mixture of {components} Gaussians is impossible; use 1 to 8.")
        exact = codes.detach().double()
        mixture = fit_mixture(exact.cpu(), components)
        values = (exact.mean(0), exact.std(0), shrunk_covariance(exact.cpu()))
        return CodeStatistics(*(value.to(codes) for value in (*values, *mixture)))

    @property
    def length(self) -> int:
        """How many numbers a code has."""
        return len(self.mean)

    def sample(
        self, count: int, generator: torch.Generator | None = None, truncation: float = 1.0, kind: str = "mixture"
    ) -> Float[Tensor, "count code"]:
        """Draw new codes; `truncation` scales their spread about the centre of their kind (0: centres only).

        "mixture" draws a kind of subject first, since what lies between two kinds (half a skirt) is no subject;
        "gaussian" takes all as one kind; "diagonal" takes each number by itself (gDNA, section 3.4). Draws on the CPU,
        so that a seed means the same on every device. Raises InputError for a count below 1, another kind, or a
        negative truncation.
        """
        if count < 1:
            raise InputError(f"Cannot sample {count} codes; ask for 1 or more.")
        if not 0 <= truncation <= 10:
            raise InputError(f"A truncation of {truncation} is not in 0 to 10; 1 keeps the spread, 0.7 is cautious.")
        if kind not in KINDS:
            raise InputError(f"Unknown kind of sampling '{kind}'; use {', '.join(KINDS)}.")
        weights = self.weights.cpu().double()
        # one after another, so that the first people of a seed are the same however many are drawn
        drawn = [(torch.multinomial(weights, 1, generator=generator), self._noise(generator)) for _ in range(count)]
        chosen, noise = torch.cat([kind for kind, _ in drawn]), torch.stack([row for _, row in drawn])
        if kind == "diagonal":
            centres, spread = self.mean, noise * self.deviation.cpu()
        elif kind == "gaussian":
            centres, spread = self.mean, noise @ _root(self.covariance)
        else:
            roots = torch.stack([_root(covariance) for covariance in self.covariances])
            centres, spread = self.centres.cpu()[chosen], (noise[:, None] @ roots[chosen])[:, 0]
        return (centres.cpu() + truncation * spread).to(self.mean)

    def _noise(self, generator: torch.Generator | None) -> Float[Tensor, "code"]:
        return torch.randn(self.length, generator=generator, dtype=torch.float64)

    def interpolate(
        self, start: Float[Tensor, "start"], end: Float[Tensor, "end"], steps: int
    ) -> Float[Tensor, "step code"]:
        """Codes on the straight line from one to another, both included; raises InputError for other lengths."""
        if steps < 2:
            raise InputError(f"An interpolation of {steps} steps is none; use 2 or more.")
        share = torch.linspace(0, 1, steps).to(self.mean)[:, None]
        return (1 - share) * self.checked(start) + share * self.checked(end)

    def checked(self, code: Float[Tensor, "*batch length"], name: str = "code") -> Float[Tensor, "*batch length"]:
        """A code, or a table of them, on the statistics' device; raises InputError unless it fits and is finite."""
        if code.shape[-1] != self.length:
            raise InputError(
                f"The {name} has {code.shape[-1]} numbers, but those of this prior have {self.length}; "
                "it comes from another prior. Sample a new one, or load the prior that it belongs to."
            )
        if not bool(code.isfinite().all()):
            raise InputError(f"The {name} holds values that are not finite numbers; sample a new one.")
        return code.to(self.mean)

    def to(self, device: torch.device | str) -> "CodeStatistics":
        """The same statistics on a device."""
        return CodeStatistics(**{name: value.to(device) for name, value in self.tensors().items()})

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """What is saved, each name with a prefix in front."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], prefix: str = "") -> "CodeStatistics":
        """Statistics as `tensors` gave them, among others; raises InputError when some are missing or do not fit."""
        names = [field.name for field in fields(CodeStatistics)]
        missing = [prefix + name for name in names if prefix + name not in tensors]
        if missing:
            raise InputError(f"The statistics of codes lack {', '.join(missing)}; the file is damaged, copy it again.")
        found = [tensors[prefix + name].float() for name in names]
        length, kinds = found[0].numel(), found[3].numel()
        shapes = [(length,), (length,), (length, length), (kinds,), (kinds, length), (kinds, length, length)]
        for name, value, shape in zip(names, found, shapes, strict=True):
            if tuple(value.shape) != shape or not bool(value.isfinite().all()):
                raise InputError(
                    f"'{prefix}{name}' of the statistics of codes has the shape {tuple(value.shape)} instead of "
                    f"{shape}, or values that are not finite; the file is damaged, copy it again."
                )
        return CodeStatistics(*found)


def _root(covariance: Float[Tensor, "code code"]) -> Float[Tensor, "code code"]:
    """A symmetric square root; directions of (rounded) negative variance do not vary."""
    values, vectors = torch.linalg.eigh(covariance.double().cpu())
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
