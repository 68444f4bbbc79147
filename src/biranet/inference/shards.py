"""Shards: photos divided among the jobs of an array, so that no patient is divided who is known beforehand."""

import dataclasses
import re
from typing import NamedTuple

from biranet.decisions.patients import NOBODY
from biranet.errors import InputError
from biranet.inference.inputs import PhotoList
from biranet.words import counted

_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


class Shard(NamedTuple):
    """One of several parts of a list.

    Attributes:
        number: Which one, from 1.
        total: How many there are.
    """

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read what people write, such as `3/16`.

        Raises:
            InputError: If it is no shard.

        Example:
            >>> Shard.parse("3/16")
            Shard(number=3, total=16)
        """
        match = _SHARD.fullmatch(text)
        if match is None or int(match[1]) > int(match[2]):
            raise InputError(f"--shard takes a number and how many shards there are, such as 3/16, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def of(self, listed: PhotoList) -> PhotoList:
        """Take the photos of this shard.

        Photos of a patient whom the list or names tell go together, and so do all rows of one file. In the order of the
        list, these groups go to the shards in turn.

        Args:
            listed: All photos; each shard must be given the same ones.

        Returns:
            The photos of this shard, in order.

        Raises:
            InputError: If there are fewer photos than shards.
        """
        groups: dict[str, int] = {}
        kept = []
        for index, file in enumerate(listed.files):
            patient = listed.subjects.get(file, NOBODY).patient
            group = groups.setdefault(f"patient {patient}" if patient else f"photo {file}", len(groups))
            if group % self.total == self.number - 1:
                kept.append(index)
        if not kept:
            there = counted(len(groups), "photo or patient", "photos or patients")
            raise InputError(f"--shard {self} holds no photo, since there are {there}; give fewer shards")
        return dataclasses.replace(
            listed,
            files=[listed.files[index] for index in kept],
            further=[listed.further[index] for index in kept],
        )
