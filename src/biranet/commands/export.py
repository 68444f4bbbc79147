"""The command that exports a checkpoint as ONNX, or in half precision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from biranet.commands.flags import Command, command_line
from biranet.errors import InputError
from biranet.extras import require_extras
from biranet.grades import DISCLAIMER


@dataclass(frozen=True)
class Export(Command):
    """Write a checkpoint as ONNX for any runtime, or as a checkpoint of half the size."""

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """Model to export, such as RUN/best.safetensors, or the name of one that ships; it stays as it is."""
    out: Annotated[Positional[Path], arg(metavar="FILE")]
    """File to write. FILE.onnx: pixels of prepared photos in, calibrated probabilities and attention out.
    FILE.safetensors: the same checkpoint in half precision."""

    def run(self) -> int:
        """Write the file and say how near its answers are to the checkpoint's."""
        from biranet.learning.shipped_models import find_checkpoint

        if self.out.suffix not in (".onnx", ".safetensors"):
            raise InputError(f"{self.out}: the name of what is exported must end in .onnx or .safetensors")
        checkpoint = find_checkpoint(self.checkpoint)

        # Only now, so that mistakes are answered at once.
        as_onnx = self.out.suffix == ".onnx"
        with require_extras("writing ONNX" if as_onnx else "halving a checkpoint", "onnx" if as_onnx else "train"):
            from biranet.inference.export import HALF, ONNX, export_half, export_onnx
        from biranet.outputs import claim_output

        with claim_output(self.out, ONNX if as_onnx else HALF, [checkpoint]) as out:
            exported = (export_onnx if as_onnx else export_half)(checkpoint, out)
        temperature = f"{exported.temperature:.3f}{', applied in the model' if as_onnx else ''}"
        print(f"Written: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB)")
        print(f"Largest difference from {checkpoint}: {exported.difference:.1e} (three drawn photos, a black one)")
        print(f"Temperature: {temperature}\n{DISCLAIMER}")
        return 0

    def next_step(self) -> str:
        """Grade with what was written."""
        return command_line("grade", "NEW_PHOTOS", "--checkpoint", self.out)
