"""The sizes that networks are asked for."""

from fewstep.errors import InputError
from fewstep.whole_numbers import as_whole


def check_sizes(**sizes: int) -> None:
    """See that channels, pixels, filters and ways are whole numbers of 1 or more."""
    for name, size in sizes.items():
        if as_whole(size) is None:
            raise InputError(
                f"{name} is {size!r}, a {type(size).__name__}; expected a whole number"
            )
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
