"""The command that runs the whole chain on drawn photographs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from biranet.commands.flags import Command, command_line


@dataclass(frozen=True)
class Demo(Command):
    """Draw photographs, and run the whole chain on them: prepare, split, train, evaluate, grade.

    Takes a few minutes on two processors and needs nothing but this program.
    """

    out: Annotated[Path, arg(metavar="FOLDER")] = Path("demo")
    """Folder for everything the demo makes; an earlier demo in it is replaced."""

    def run(self) -> int:
        """Run the chain and say where the report is."""
        from biranet.demo import run_demo

        run_demo(self.out)
        return 0

    def next_step(self) -> str:
        """The same with photographs of one's own."""
        return command_line("prepare", "PHOTOS", "prepared", "--labels", "GRADES.csv")
