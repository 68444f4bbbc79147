"""What others reported, to stand beside what was measured here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row of the table in the paper on BiRA-Net.

    Args:
        model: What was measured there.
        aca: Average classification accuracy, in [0, 1].
        macro_f1: In [0, 1]; the paper's definition is not known here, so it stands for neither of ours.
        micro_f1: In [0, 1].
    """

    model: str
    aca: float
    macro_f1: float
    micro_f1: float


PUBLISHED = (
    Published("BiRA-Net (Zhao et al. 2019)", aca=0.5431, macro_f1=0.5725, micro_f1=0.5436),
    Published("RA-Net, one stream (Zhao et al. 2019)", aca=0.4717, macro_f1=0.5268, micro_f1=0.4724),
    Published("Bravo et al., as cited there", aca=0.5051, macro_f1=0.5081, micro_f1=0.5052),
)
"""The three rows, recalled and not verified against the paper's text."""

PUBLISHED_NOTE = (
    "Reported elsewhere: recalled figures of the paper on BiRA-Net (Zhao et al., ICIP 2019), not verified against its "
    "text, for photographs of EyePACS. They were measured on other photographs than the rows measured here, so a "
    "difference between the two kinds of rows says nothing about the models. Its macro-F1 is probably the F1 of means."
)
"""Stands under the table."""
