"""Resampling as small matrices, one per axis: exact, differentiable, and different for each picture of a batch.

A picture ``X`` becomes ``A_y @ X @ A_x.T``. Convention: positions count along an axis in input pixels from the *border*
of the first one, so that pixel ``i`` covers ``i`` to ``i + 1``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TINY = 1e-6


def pixel_rows(edges: Tensor, n_in: int, sigma: Tensor) -> Tensor:
    """Rows that integrate the input over pixels with borders ``edges`` ``(..., S + 1)`` → ``(..., S, n_in)``.

    ``sigma`` ``(...)`` is a Gaussian blur before, in input pixels. Each row sums to 1 over what lies in the picture;
    a pixel wholly outside of it gets zeros. Exact for input that is constant in each of its pixels: the weight is the
    second difference of the twice integrated Gaussian.
    """
    corners = torch.arange(n_in + 1, dtype=edges.dtype, device=edges.device)
    ramp = _blurred_ramp(edges[..., :, None] - corners, sigma[..., None, None].clamp(min=1e-3))
    bend = ramp.diff(dim=-2)
    weights = (bend[..., :-1] - bend[..., 1:]).clamp_(min=0)
    return weights.div_(weights.sum(dim=-1, keepdim=True).clamp_(min=TINY))


def _blurred_ramp(x: Tensor, sigma: Tensor) -> Tensor:
    """``max(x, 0)`` convolved with a Gaussian: ``x cdf(x / sigma) + sigma pdf(x / sigma)``."""
    # Six sigma out nothing changes any more, and denormal numbers are slow.
    z = (x / sigma).clamp_(-6, 6)
    pdf = z.square().mul_(-0.5).exp_().mul_(sigma / math.sqrt(2 * math.pi))
    cdf = z.mul_(math.sqrt(0.5)).erf_().add_(1).mul_(0.5)
    return pdf.addcmul_(x, cdf)


def area_rows(n_in: int, n_out: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(n_out, n_in)``: the mean over the area that each output pixel covers, as OpenCV's INTER_AREA shrinks."""
    edges = torch.linspace(0, n_in, n_out + 1, dtype=torch.float64)
    borders = torch.arange(n_in, dtype=torch.float64)
    low = torch.maximum(edges[:-1, None], borders)
    high = torch.minimum(edges[1:, None], borders + 1)
    weights = (high - low).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).to(dtype)


def linear_rows(positions: Tensor, n_in: int) -> Tensor:
    """Rows that interpolate linearly between pixel centers at ``positions`` ``(..., S)`` → ``(..., S, n_in)``.

    Beyond the outer centers the outer pixels go on.
    """
    centers = torch.arange(n_in, dtype=positions.dtype, device=positions.device)
    inside = (positions - 0.5).clamp(0, n_in - 1)
    return (1 - (inside[..., None] - centers).abs()).clamp(min=0)


def apply_rows(rows_y: Tensor, rows_x: Tensor, images: Tensor) -> Tensor:
    """``A_y @ X @ A_x.T``: rows ``([B, 1,] S, N)``, images ``(B, C, N, N)`` → ``(B, C, S, S)``."""
    return rows_y @ images @ rows_x.transpose(-1, -2)


def shrink(images: Tensor, height: int, width: int) -> Tensor:
    """``(B, C, H, W)`` → ``(B, C, height, width)`` by area; nothing happens at the same size."""
    if images.shape[-2:] == (height, width):
        return images
    rows_y = area_rows(images.shape[-2], height, images.dtype).to(images.device)
    rows_x = area_rows(images.shape[-1], width, images.dtype).to(images.device)
    return apply_rows(rows_y, rows_x, images)
