"""The sizes that networks are asked for."""

from fewstep.errors import InputError


def check_sizes(**sizes: int) -> None:
    """See that channels, pixels, filters and ways are 1 or more."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}; expected 1 or more")


def side_of(example_shape: tuple[int, ...]) -> int:
    """Height and width of square pictures; `InputError` for others."""
    channels, height, width = example_shape
    if height != width:
        raise InputError(
            f"pictures are [{channels}, {height}, {width}]; expected as many pixels high as wide: "
            "cut or stretch them to squares"
        )
    return height
