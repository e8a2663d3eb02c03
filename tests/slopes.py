"""Central finite differences of a loss, and how far a gradient is from them."""

import torch


def slopes_of(loss, parameters, directions=3, width=1e-6):
    """Random directions, tensors by name, and the slope of ``loss()`` along each."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for _ in range(directions):
        direction = {
            name: torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device)
            for name, p in parameters.items()
        }
        ahead, behind = (_loss_at(loss, parameters, direction, d) for d in (width, -width))
        found.append((direction, (ahead - behind) / (2 * width)))
    return found


def relative_error(gradient, slopes):
    """The largest deviation of the gradient from the measured slopes."""
    assert all(gradient.keys() == direction.keys() for direction, _ in slopes)
    pairs = [(sum((gradient[n] * d[n]).sum() for n in gradient), slope) for d, slope in slopes]
    scale = max(abs(slope) for _, slope in pairs)
    return float(max(abs(own - slope) for own, slope in pairs) / scale)


def _loss_at(loss, parameters, direction, distance):
    before = {name: p.detach().clone() for name, p in parameters.items()}
    _write(parameters, {name: before[name] + distance * direction[name] for name in before})
    value = loss()
    _write(parameters, before)
    return value


def _write(parameters, values):
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
