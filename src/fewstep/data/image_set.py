"""ImageSet: classes of pictures to draw tasks from, and to split by class."""

from collections.abc import Sequence

from fewstep.choices import Split
from fewstep.data.augmentation import UNCHANGED, Augmentation
from fewstep.data.class_split import draw_split, split_sizes, usual_sizes
from fewstep.data.episodes import EpisodeSampler
from fewstep.data.images import ImageClasses
from fewstep.data.preparation import Preparation
from fewstep.data.source import SPLITS


class ImageSet:
    """Classes of pictures.

    Attributes:
        images: The pictures.
        part: Of what split they are.

    >>> import numpy as np
    >>> pictures = np.zeros((12, 3, 84, 84), np.uint8)
    >>> birds = ImageSet(ImageClasses(pictures, ("owl", "crow", "tit"), np.array([4, 4, 4])))
    >>> birds
    <3 classes, 12 pictures, RGB 84x84>
    >>> birds.split(1, 1, 1)[0]
    <1 class, 4 pictures, RGB 84x84>
    >>> birds.tasks(n_way=2, k_shot=1, q_query=3).batch([0]).query_x.shape
    torch.Size([1, 6, 3, 84, 84])
    """

    def __init__(self, images: ImageClasses, part: Split = "train") -> None:
        self.images, self.part = images, part

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.images.names

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures each class has."""
        return dict(zip(self.classes, self.images.counts.tolist(), strict=True))

    @property
    def preparation(self) -> Preparation | None:
        """How the pictures were made of files."""
        return self.images.preparation

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        pictures = int(self.images.counts.sum())
        channels, height, width = self.images.pictures.shape[1:]
        kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
        return (
            f"<{len(self)} {'class' if len(self) == 1 else 'classes'}, "
            f"{pictures} {'picture' if pictures == 1 else 'pictures'}, {kind} {width}x{height}>"
        )

    def split(self, *parts: float, seed: int = 0) -> "tuple[ImageSet, ImageSet, ImageSet]":
        """Three sets, for training, validation and test, that share no class.

        Args:
            parts: Three integers, which are counts of classes, or three floats, which are
                fractions; 60, 20 and 20% unless given, and at least two classes where they suffice.
            seed: Another one draws another split.

        Raises:
            InputError: The parts do not fit.
        """
        sizes = split_sizes(len(self), parts) if parts else usual_sizes(len(self))
        return self.split_into(draw_split(sizes, len(self), seed))

    def split_into(self, parts: Sequence[Sequence[int]]) -> "tuple[ImageSet, ImageSet, ImageSet]":
        """Three sets of classes by their numbers."""
        train, val, test = (
            ImageSet(self.images.subset(numbers), name)
            for name, numbers in zip(SPLITS, parts, strict=True)
        )
        return train, val, test

    def tasks(
        self,
        n_way: int,
        k_shot: int,
        q_query: int,
        *,
        seed: int = 0,
        rotations: bool = False,
        augmentation: Augmentation = UNCHANGED,
    ) -> EpisodeSampler:
        """Tasks of these classes.

        Args:
            n_way: Classes of a task.
            k_shot: Support pictures of each class.
            q_query: Query pictures of each class.
            seed: Another one draws other tasks.
            rotations: Each class counts four times, turned by 0, 90, 180 and 270 degrees.
            augmentation: Random changes of the pictures; for training.

        Raises:
            InputError: There are too few classes, or too few pictures of a class.
        """
        return EpisodeSampler(
            self.images, n_way, k_shot, q_query, seed, self.part, rotations, augmentation
        )
