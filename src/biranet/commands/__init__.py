"""The commands: one dataclass each, whose fields are its flags and whose docstrings are its help.

Nothing heavy is imported before a command runs, so help and mistakes answer at once.
"""

from biranet.commands.crossval import Crossval
from biranet.commands.demo import Demo
from biranet.commands.evaluate import Calibrate, Compare, Evaluate
from biranet.commands.export import Export
from biranet.commands.flags import Command
from biranet.commands.grade import Grade
from biranet.commands.models import Models
from biranet.commands.photos import Audit, Prepare, Split
from biranet.commands.train import Train

COMMANDS: dict[str, type[Command]] = {
    "demo": Demo,
    "prepare": Prepare,
    "audit": Audit,
    "split": Split,
    "train": Train,
    "crossval": Crossval,
    "calibrate": Calibrate,
    "evaluate": Evaluate,
    "compare": Compare,
    "models": Models,
    "grade": Grade,
    "export": Export,
}
"""By the word that is typed, in the order of the work."""
