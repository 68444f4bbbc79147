"""The rows of the table of grades: what the model says of a photo, and what else a list said of it."""

from collections.abc import Iterable
from typing import NamedTuple

from biranet.decisions.columns import POINT_PREFIX
from biranet.inference.prediction import COLUMN_TYPES, Prediction
from biranet.tables import free_columns
from biranet.typed_tables import Columns, Row


class Further(NamedTuple):
    """Further columns of a list, and their cells for one photo."""

    columns: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()


NOTHING_FURTHER = Further()


class GradeRows:
    """Makes the rows of a table of grades.

    Args:
        further: Further columns of the lists, each once; they follow ours.

    Attributes:
        columns: The columns, and what stands in them. A column of a list that is called like one of ours, or as those
            of operating points in a predictions table, gets `label_` before its name.

    Example:
        >>> rows = GradeRows(["camera", "status"])
        >>> row = rows.row(Prediction("a.jpg", "unreadable", "no such file"), Further(("camera",), ("B",)))
        >>> row["status"], row["camera"], row["label_status"]
        ('unreadable', 'B', None)
    """

    def __init__(self, further: Iterable[str]) -> None:
        self._names = free_columns(further, COLUMN_TYPES, lambda name: name.startswith(POINT_PREFIX))
        self.columns: Columns = {**COLUMN_TYPES, **dict.fromkeys(self._names.values(), str)}
        self._empty = dict.fromkeys(self._names.values())

    def row(self, answer: Prediction, further: Further = NOTHING_FURTHER) -> Row:
        """Make the row of a photo: values by column, None where there is none."""
        further_cells = {self._names[name]: cell for name, cell in zip(further.columns, further.cells, strict=True)}
        return {**answer.values(), **self._empty, **further_cells}
