"""The sizes that networks are asked for."""

from fewstep.errors import InputError
from fewstep.whole_numbers import check_whole


def check_sizes(**sizes: int) -> None:
    """See that channels, pixels, filters and ways are whole numbers of 1 or more."""
    for name, size in sizes.items():
        check_whole(name, size, 1)


def side_of(example_shape: tuple[int, ...]) -> int:
    """Height and width of square pictures; `InputError` for others."""
    channels, height, width = example_shape
    if height != width:
        raise InputError(
            f"pictures are [{channels}, {height}, {width}]; expected as many pixels high as wide: "
            "cut or stretch them to squares"
        )
    return height
