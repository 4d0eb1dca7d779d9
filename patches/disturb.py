"""What the training loop does to views beyond the transforms: jitter, and corruptions until hardly anything is left.

Written for gradients and batches, apart from the noises that judge (:mod:`pipeline.noises`): training must not be tuned
to the test. Every picture gets at most one corruption, of random kind and severity.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from patches.resample import apply_rows, linear_rows, pixel_rows

FOG_CELLS = (3, 6, 12)


def disturbed(pictures: Tensor, share: float, dice: torch.Generator) -> Tensor:
    """``(B, 3, H, W)`` in [0, 1] → the same; of the pictures ``share`` are corrupted, as ``dice`` falls."""
    kinds = torch.randint(len(KINDS), (len(pictures),), generator=dice)
    kinds[torch.rand(len(pictures), generator=dice) >= share] = -1
    # Squared: mild ones are likelier than those that leave next to nothing to learn from.
    severity = torch.rand(len(pictures), 1, 1, 1, generator=dice).to(pictures).square()
    result = pictures
    for number, corrupt in enumerate(KINDS):
        chosen = (kinds == number).nonzero()[:, 0].to(pictures.device)
        if len(chosen):
            changed = corrupt(pictures[chosen], severity[chosen], dice).clamp(0, 1)
            result = result.index_copy(0, chosen, changed)
    return result


def jittered(pictures: Tensor, most: float, dice: torch.Generator) -> Tensor:
    """``(B, 3, S, S)`` → the same, each moved and zoomed along both axes by up to ``most`` of its side.

    What helps only where it lies on a network's own raster does not transfer (Xie et al., arXiv 1803.06978).
    """
    if not most:
        return pictures
    side = pictures.shape[-1]
    moved, zoomed = most * (2 * torch.rand(2, len(pictures), 2, 1, generator=dice).to(pictures) - 1)
    along = torch.arange(side, dtype=pictures.dtype, device=pictures.device) + 0.5 - side / 2
    rows = linear_rows(side / 2 + along * (1 + zoomed) + side * moved, side)[:, :, None]
    return apply_rows(rows[:, 1], rows[:, 0], pictures)


def _normal(like: Tensor, dice: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=dice).to(like)


def grain(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Independent normal noise, sigma up to 0.45."""
    return pictures + 0.45 * severity * _normal(pictures, dice)


def few_photons(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """The noise of counting light, normal instead of Poisson's: 63 photons for white, down to 3."""
    return pictures + (pictures.clamp(min=1e-3) / (63 - 60 * severity)).sqrt() * _normal(pictures, dice)


def salt_and_pepper(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Up to a third of the values become black or white."""
    share = torch.rand(pictures.shape, generator=dice).to(pictures)
    flipped = (torch.rand(pictures.shape, generator=dice) < 0.5).to(pictures)
    return torch.where(share < severity / 3, flipped, pictures)


def fog(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Light of clouds of several sizes mixed in, up to two thirds."""
    batch, size = len(pictures), pictures.shape[-2:]
    clouds = torch.zeros(batch, 1, *size).to(pictures)
    for cells in FOG_CELLS:
        noise = torch.rand(batch, 1, cells, cells, generator=dice).to(pictures)
        clouds = clouds + functional.interpolate(noise, size=size, mode="bicubic", align_corners=False) / len(FOG_CELLS)
    return (pictures + 2 * severity * clouds) / (1 + 2 * severity)


def blocks(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Fewer pixels, down to 0.4 of the side, magnified as blocks; one factor for all."""
    height, width = pictures.shape[-2:]
    factor = 1 - 0.6 * float(torch.rand(1, generator=dice))
    small = functional.interpolate(
        pictures, size=(max(2, round(height * factor)), max(2, round(width * factor))), mode="area"
    )
    return functional.interpolate(small, size=(height, width), mode="nearest")


def low_contrast(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Towards the picture's own mean, down to a tenth."""
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (1 - 0.9 * severity) * (pictures - middle)


def smear(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Motion over up to half of the side in one of four directions, one for all."""
    length = max(2, round(float(torch.rand(1, generator=dice)) * pictures.shape[-1] / 2))
    across, down = ((1, 0), (0, 1), (1, 1), (1, -1))[int(torch.randint(4, (1,), generator=dice))]
    shifts = [number - length // 2 for number in range(length)]
    padded = functional.pad(pictures, (length, length, length, length), mode="replicate")
    height, width = pictures.shape[-2:]
    moved = [
        padded[:, :, length + down * i : length + down * i + height, length + across * i : length + across * i + width]
        for i in shifts
    ]
    return torch.stack(moved).mean(dim=0)


def soft(pictures: Tensor, severity: Tensor, dice: torch.Generator) -> Tensor:
    """Out of focus: Gaussian blur, sigma up to an eighth of the side."""
    side = pictures.shape[-1]
    edges = torch.arange(side + 1, dtype=pictures.dtype, device=pictures.device).expand(len(pictures), side + 1)
    rows = pixel_rows(edges, side, severity[:, 0, 0, 0] * side / 8)[:, None]
    return apply_rows(rows, rows, pictures)


Corrupt = Callable[[Tensor, Tensor, torch.Generator], Tensor]
KINDS: tuple[Corrupt, ...] = (
    grain,
    few_photons,
    salt_and_pepper,
    fog,
    blocks,
    low_contrast,
    smear,
    soft,
)
